exports = (p, r) => { r.setHeader("X A", "a"); };
