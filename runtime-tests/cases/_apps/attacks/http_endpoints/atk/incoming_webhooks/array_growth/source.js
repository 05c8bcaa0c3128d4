exports = () => new Array(2 ** 27).fill(1.5).length;
