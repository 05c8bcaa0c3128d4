exports = function(payload, response) {
  return {
    query: payload.query,
    method: context.request.httpMethod,
    body: payload.body === undefined ? "none" : payload.body.text(),
    system: context.runningAsSystem(),
    user: context.user.type
  };
};
