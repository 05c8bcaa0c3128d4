exports = function () { with ({a: 1}) { return a; } };
