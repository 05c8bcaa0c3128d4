exports = () => { const t = "[".repeat(9000000) + "]".repeat(9000000); try { JSON.parse(t); return "parsed"; } catch (e) { return "refused"; } };
