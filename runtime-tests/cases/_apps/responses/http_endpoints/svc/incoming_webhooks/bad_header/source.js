exports = (p, r) => { r.setHeader("X-A", "a\r\nX-Evil: 1"); };
