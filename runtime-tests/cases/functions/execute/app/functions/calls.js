exports = (f) => f();
