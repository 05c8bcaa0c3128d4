// As many requests at once as asked for.
exports = async function (payload) {
  const { url, count } = JSON.parse(payload.body.text());
  const answers = await Promise.all(Array.from({ length: count }, () => context.http.get({ url })));
  return answers.filter((answer) => answer.statusCode === 200).length;
};
