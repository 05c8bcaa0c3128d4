exports = () => [typeof leaked, [].evil, ({}).x, typeof Array.prototype.map, typeof JSON.stringify];
