exports = () => { throw [1, "b"]; };
