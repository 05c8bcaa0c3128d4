exports = function () { return typeof lines + typeof console.log; };
