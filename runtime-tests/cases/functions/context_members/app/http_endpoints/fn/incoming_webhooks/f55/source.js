exports = () => context.values.get("nope") === undefined && context.values.get("__proto__") === undefined && context.values.get("constructor") === undefined;
