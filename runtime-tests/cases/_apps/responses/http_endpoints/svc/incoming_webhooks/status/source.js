exports = (p, r) => { r.setStatusCode(EJSON.parse(p.query.c)); };
