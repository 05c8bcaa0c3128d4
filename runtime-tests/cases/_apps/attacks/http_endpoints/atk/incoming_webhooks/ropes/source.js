exports = () => { let s = "x"; try { for (;;) { s += s; s.charCodeAt(s.length - 1); /x$/.test(s); } } catch (e) { return e.name; } };
