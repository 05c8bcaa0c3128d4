exports = function() {
    const { id, type, data, custom_data: custom } = context.user;
    return { id, type, data, custom, asSystem: context.runningAsSystem() };
};
