exports = () => EJSON.stringify({ a: 1, b: 1.5, d: new Date(0) }, { relaxed: true });
