exports = () => { throw new Error("no answer"); };
