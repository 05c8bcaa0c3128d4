exports = () => [BSON.Binary.fromHex("6869").text(), BSON.Binary.fromHex("6869").toHex(), BSON.Binary.fromHex("6869=").toHex()];
