exports = () => ({ f: () => 5 });
