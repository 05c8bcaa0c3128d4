lines = [];
exports = function () { console.log = function (m) { lines.push(m); }; };
