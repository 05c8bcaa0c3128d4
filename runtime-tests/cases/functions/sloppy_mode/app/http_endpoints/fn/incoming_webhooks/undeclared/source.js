exports = function () { n = 5; return n; };
