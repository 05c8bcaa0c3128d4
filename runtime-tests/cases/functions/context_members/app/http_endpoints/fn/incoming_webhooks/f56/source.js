exports = () => context.services.get("nope") === undefined && context.services.get("__proto__") === undefined;
