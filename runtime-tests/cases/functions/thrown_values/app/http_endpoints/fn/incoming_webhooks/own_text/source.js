exports = () => { throw { toString() { return "own text"; } }; };
