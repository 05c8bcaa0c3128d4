exports = () => [context.user.id.length, context.user.custom_data.x === undefined, context.user.type];
