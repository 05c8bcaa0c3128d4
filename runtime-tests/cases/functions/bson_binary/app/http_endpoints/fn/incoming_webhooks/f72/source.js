exports = () => { let e; try { BSON.Binary.fromBase64("aGk"); } catch (x) { e = x instanceof Error; } return [e, BSON.Binary.fromBase64("aGk=").text()]; };
