exports = (p, r) => { r.setBody(BSON.Binary.fromHex("0001ff")); };
