exports = (q, r) => { r.setBody("hi"); };
