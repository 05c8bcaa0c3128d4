exports = function(p, r) { context.functions.execute("teapot", r); };
