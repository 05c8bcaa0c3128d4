exports = () => { let s = "ab".repeat(1 << 20); for (;;) s = s.replace(/a/g, "bb").slice(0, 1 << 21).replace(/b/g, "a"); };
