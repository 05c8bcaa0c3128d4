exports = async () => { async function f() { await new Promise(r => setTimeout(r, 0)); return f(); } await f(); };
