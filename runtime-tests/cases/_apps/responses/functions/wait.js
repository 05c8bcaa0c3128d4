exports = async function() { await new Promise(r => setTimeout(r, 20)); };
