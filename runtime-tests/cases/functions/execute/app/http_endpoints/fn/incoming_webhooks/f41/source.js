exports = function () { const s = context.functions.execute("sum", 1, 2); return s + 1; };
