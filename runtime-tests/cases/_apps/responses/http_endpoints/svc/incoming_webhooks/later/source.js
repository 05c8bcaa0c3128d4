exports = function(p, r) { context.functions.execute("wait").then(() => r.setBody("later")); };
