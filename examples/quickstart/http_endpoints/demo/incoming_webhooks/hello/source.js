exports = function (payload, response) {
  return { hello: payload.query.name || "world" };
};
