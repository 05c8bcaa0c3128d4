exports = function named() { return named.name; };
