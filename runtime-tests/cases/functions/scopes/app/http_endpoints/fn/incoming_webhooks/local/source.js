exports = function () { context.functions.execute("declares"); return typeof h; };
