exports = () => Object.prototype.toString.call(new BSON.ObjectId());
