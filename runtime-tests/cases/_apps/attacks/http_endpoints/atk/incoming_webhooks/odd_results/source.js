exports = (p) => ({ a: "\ud800", d: new Date(NaN), f() {}, s: Symbol("x"), u: undefined, big: 1n });
