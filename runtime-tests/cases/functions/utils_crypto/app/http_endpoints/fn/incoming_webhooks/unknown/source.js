exports = () => utils.crypto.hash("sha3", "x");
