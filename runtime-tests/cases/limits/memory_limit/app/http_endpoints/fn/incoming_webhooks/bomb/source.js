exports = () => { const a = []; for (;;) a.push({ x: new Array(100) }); };
