exports = async () => { throw new RangeError("far"); };
