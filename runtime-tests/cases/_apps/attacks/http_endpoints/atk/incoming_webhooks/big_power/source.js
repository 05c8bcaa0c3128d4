exports = () => String(2n ** 100000000n).length;
