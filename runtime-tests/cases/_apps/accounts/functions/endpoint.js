exports = function({ body }) {
    return { id: context.user.id, body: body && body.text() };
};
