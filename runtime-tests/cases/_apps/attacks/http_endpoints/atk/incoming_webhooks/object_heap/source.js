exports = () => { const a = []; for (;;) a.push({ a: a.length }); };
