exports = function () { const before = typeof counter; counter = 1; return before; };
