exports = function () { let n = 0; context.functions.execute("calls", () => { n = 6; }); return n; };
