exports = () => { try { new RegExp("(".repeat(500000) + "a" + ")".repeat(500000)).test("a"); return "ran"; } catch (e) { return e instanceof Error ? "error" : "?"; } };
