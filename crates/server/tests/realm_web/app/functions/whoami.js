exports = () => ({ user: context.user, asSystem: context.runningAsSystem() });
