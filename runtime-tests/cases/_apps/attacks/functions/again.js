exports = () => context.functions.execute("again");
