exports = async () => { function* g() { try { for (;;) yield 1; } finally { for (;;); } } for (const x of g()) break; };
