exports = () => { const m = new Map(); for (let i = 0; i < 2 ** 25; i++) m.set(i, i); return m.size; };
