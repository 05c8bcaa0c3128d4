exports = () => { throw new Error("boom"); };
