exports = function () { context.functions.execute("assigns_at_top"); return h(); };
