exports = (p, r) => { r.setBody(JSON.stringify({a: 1})); };
