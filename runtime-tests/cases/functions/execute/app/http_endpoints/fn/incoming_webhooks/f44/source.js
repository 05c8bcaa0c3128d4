exports = function () { return context.functions.execute("closures").f(); };
