exports = async () => { await new Promise(() => {}); };
