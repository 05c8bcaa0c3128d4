exports = (q, r) => { return r.setStatusCode(200).setBody("t"); };
