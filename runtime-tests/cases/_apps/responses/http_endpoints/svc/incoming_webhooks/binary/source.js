exports = (p, r) => { r.setBody(BSON.Binary.fromHex("89504e470d0a1a0a00")); };
