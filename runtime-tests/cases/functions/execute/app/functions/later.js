exports = async () => 1;
