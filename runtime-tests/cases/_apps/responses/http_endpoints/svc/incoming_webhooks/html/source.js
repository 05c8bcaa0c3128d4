exports = (p, r) => { r.setBody("<!DOCTYPE HTML><p>x"); };
