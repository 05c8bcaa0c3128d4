exports = () => ({ a: 1 });
