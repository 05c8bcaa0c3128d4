exports = () => { throw { a: 1 }; };
