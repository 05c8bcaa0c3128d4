exports = () => context.functions.execute("hidden");
