exports = () => { const a = []; try { for (;;) a.push(new Uint8Array(1 << 20).fill(1)); } catch (e) { return e.name; } };
