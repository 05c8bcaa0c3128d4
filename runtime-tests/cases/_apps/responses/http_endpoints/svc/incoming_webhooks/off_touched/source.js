exports = (p, r) => { r.setBody("kept"); return 1; };
