exports = () => { throw undefined; };
