exports = function (payload) {
  return context.http.get(EJSON.parse(payload.body.text()));
};
