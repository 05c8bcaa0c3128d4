exports = async function (payload) {
  const answer = await context.http.get({ url: payload.body.text() });
  return [[200].includes(answer.statusCode), answer.statusCode.valueOf() === 200, typeof answer.statusCode];
};
