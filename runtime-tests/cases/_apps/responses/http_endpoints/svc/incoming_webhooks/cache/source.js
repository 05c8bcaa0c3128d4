exports = (p, r) => { r.addHeader("Cache-Control", "a"); r.addHeader("Cache-Control", "b"); if (p.query.set) r.setHeader("cache-control", "c"); };
