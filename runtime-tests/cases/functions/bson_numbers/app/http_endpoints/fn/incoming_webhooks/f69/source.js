exports = () => [BSON.Int32().valueOf(), BSON.Double().valueOf(), BSON.Long().valueOf()].join();
