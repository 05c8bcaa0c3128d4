exports = (id) => id === context.user.id;
