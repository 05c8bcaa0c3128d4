exports = async function () { await new Promise(r => setTimeout(r, 50)); return 1; };
