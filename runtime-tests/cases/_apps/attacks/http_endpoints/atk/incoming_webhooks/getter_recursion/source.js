exports = () => { const o = { get a() { return o.b; }, get b() { return o.a; } }; return o; };
