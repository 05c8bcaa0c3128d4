exports = function () { return "a"; };
