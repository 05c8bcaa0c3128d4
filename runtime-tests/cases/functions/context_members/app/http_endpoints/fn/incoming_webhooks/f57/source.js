exports = () => [context.environment.tag, context.environment.values.u, context.environment.values.missing === undefined];
