exports = function () { h = function () { return 7; }; };
