exports = () => [BSON.Int32(5), BSON.Double(5), BSON.Long(5, 0)];
