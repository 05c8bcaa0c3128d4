exports = function() { leaked = 1; Object.prototype.stolen = 1; console.log = null; return "ok"; };
