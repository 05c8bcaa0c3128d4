exports = (a) => { a.push(1); };
