exports = () => BSON.Long(600206158, 342).toString();
