exports = function () { return this === globalThis; };
