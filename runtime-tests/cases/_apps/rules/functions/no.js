exports = async () => false;
