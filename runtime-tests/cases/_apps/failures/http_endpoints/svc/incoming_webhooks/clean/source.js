exports = function() { return [typeof leaked, typeof ({}).stolen, typeof console.log]; };
