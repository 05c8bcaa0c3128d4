exports = 5;
