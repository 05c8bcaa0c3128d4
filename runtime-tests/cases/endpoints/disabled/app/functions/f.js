exports = () => { throw new Error("ran"); };
