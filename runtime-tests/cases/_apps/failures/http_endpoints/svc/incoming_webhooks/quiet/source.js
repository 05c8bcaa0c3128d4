exports = function(payload) { return 1; };
