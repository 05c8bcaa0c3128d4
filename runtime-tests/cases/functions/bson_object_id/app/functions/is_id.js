exports = (id) => id instanceof BSON.ObjectId;
