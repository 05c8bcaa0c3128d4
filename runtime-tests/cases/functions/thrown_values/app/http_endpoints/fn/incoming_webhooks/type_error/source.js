exports = () => { throw new TypeError("bad"); };
