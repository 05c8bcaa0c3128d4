h = function () { return 8; };
exports = () => {};
