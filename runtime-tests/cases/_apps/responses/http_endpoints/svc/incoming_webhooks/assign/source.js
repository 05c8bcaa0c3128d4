exports = (p, r) => { r.statusCode = 404; return "fine"; };
