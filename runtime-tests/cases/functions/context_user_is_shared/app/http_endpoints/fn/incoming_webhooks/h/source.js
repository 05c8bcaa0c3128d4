exports = function () { context.functions.execute("sets"); return [context.user.id, context.runningAsSystem()]; };
