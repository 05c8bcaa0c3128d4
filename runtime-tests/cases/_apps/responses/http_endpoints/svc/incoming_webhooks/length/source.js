exports = (p, r) => { r.setHeader("Content-Length", "999"); r.setHeader("Transfer-Encoding", "chunked"); r.setHeader("Connection", "upgrade"); r.setBody("four"); };
