exports = function () { const a = []; context.functions.execute("pushes", a); return a; };
