exports = (q, r) => { r.setStatusCode(200); return { a: 1 }; };
