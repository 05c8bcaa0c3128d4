exports = async () => { return {a: 1}; };
