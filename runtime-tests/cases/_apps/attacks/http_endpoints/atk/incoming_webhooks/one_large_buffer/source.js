exports = () => { try { new ArrayBuffer(2 ** 31); return "made"; } catch (e) { return e.name; } };
