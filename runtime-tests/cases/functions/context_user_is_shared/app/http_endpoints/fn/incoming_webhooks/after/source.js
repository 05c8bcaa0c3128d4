exports = () => context.user.id;
