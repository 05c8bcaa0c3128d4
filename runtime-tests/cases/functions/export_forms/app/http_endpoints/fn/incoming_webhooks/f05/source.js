exports = () => 5;
if (typeof module === 'object') { module.exports = exports; }
