exports = () => { throw null; };
