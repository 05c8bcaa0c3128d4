exports = function() { while (true) {} };
