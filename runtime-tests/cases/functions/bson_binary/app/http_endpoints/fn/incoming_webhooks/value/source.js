exports = () => BSON.Binary.fromText("x");
