// Makes the request of the body and tells how it ended.
exports = async function (payload, response) {
  const { method = "get", request } = EJSON.parse(payload.body.text());
  let told;
  try {
    const answer = await context.http[method](request);
    const { status, statusCode, contentLength, headers, cookies } = answer;
    told = { status, statusCode, contentLength, headers, cookies, body: answer.body.text(), hex: answer.body.toHex().slice(0, 8) };
  } catch (error) {
    told = { failed: error instanceof Error, message: error.message, code: error.error_code };
  }
  response.setBody(JSON.stringify(told));
};
