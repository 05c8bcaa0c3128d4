exports = () => { const x = BSON.Double(1.5); return [x.valueOf() === 1.5, x + 1, x.toString()]; };
