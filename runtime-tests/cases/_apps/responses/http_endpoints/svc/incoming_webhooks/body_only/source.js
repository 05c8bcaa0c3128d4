exports = (p, r) => { r.setBody("hi"); };
