exports = () => Object.entries(new BSON.ObjectId()).length;
