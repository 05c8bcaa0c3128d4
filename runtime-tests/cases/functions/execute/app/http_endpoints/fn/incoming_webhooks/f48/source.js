exports = function () { try { context.functions.execute("nope"); } catch (e) { return e.message; } };
