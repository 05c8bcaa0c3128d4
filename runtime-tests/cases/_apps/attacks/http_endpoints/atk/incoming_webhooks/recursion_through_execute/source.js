exports = () => { try { return context.functions.execute("again"); } catch (e) { return e.name; } };
