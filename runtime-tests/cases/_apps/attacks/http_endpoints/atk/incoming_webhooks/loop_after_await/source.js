exports = async () => { await null; while (true) {} };
