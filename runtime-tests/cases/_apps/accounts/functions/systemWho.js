exports = () => [context.runningAsSystem(), context.user.type];
