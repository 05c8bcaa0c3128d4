exports = function () { "use strict"; n = 5; return n; };
