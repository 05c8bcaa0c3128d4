exports = function () { try { context.functions.execute("throws"); } catch (e) { return e === saved; } };
