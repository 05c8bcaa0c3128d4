exports = function() { return [context.user.type, context.user.id, context.runningAsSystem()]; };
