// What the client reads of its argument is the caller's own, whatever was done to prototypes.
exports = async function (payload) {
  const url = payload.body.text();
  Object.prototype.headers = { "X-Stolen": "1" };
  Object.prototype.followRedirects = true;
  const answer = await context.http.get({ url });
  return answer.statusCode;
};
