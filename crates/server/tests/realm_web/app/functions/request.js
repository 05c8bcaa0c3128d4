exports = () => context.request;
