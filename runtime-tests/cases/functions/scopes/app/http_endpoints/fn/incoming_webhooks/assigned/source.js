exports = function () { context.functions.execute("assigns"); return h(); };
