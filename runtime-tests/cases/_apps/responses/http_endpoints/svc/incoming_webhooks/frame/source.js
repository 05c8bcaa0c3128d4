exports = (p, r) => { r.setHeader("X-Frame-Options", "SAMEORIGIN"); };
