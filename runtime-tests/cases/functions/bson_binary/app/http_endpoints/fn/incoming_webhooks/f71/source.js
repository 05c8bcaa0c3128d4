exports = () => BSON.Binary.fromText("héllo").toBase64();
