exports = () => /^(a+)+$/.test("a".repeat(40) + "b") + "" + /(a*)*\1b/.test("a".repeat(30));
