exports = () => { try { Buffer.alloc(4 * 2 ** 30); return "made"; } catch (e) { return "refused"; } };
