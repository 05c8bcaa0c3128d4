const exports = () => 1;
