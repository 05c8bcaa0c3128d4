exports = () => ["__proto__", "constructor", "toString", "PATH"].every(k => context.values.get(k) === undefined);
