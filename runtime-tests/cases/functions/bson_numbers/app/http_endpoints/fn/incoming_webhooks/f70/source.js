exports = () => BSON.Decimal128.fromString("0.10");
