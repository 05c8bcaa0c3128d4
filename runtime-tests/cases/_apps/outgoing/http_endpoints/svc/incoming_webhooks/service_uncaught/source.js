exports = async function (payload) {
  const { name, path } = EJSON.parse(payload.body.text());
  let value = context.services.get(name);
  for (const [method, ...args] of path) value = value[method](...args);
  return await value;
};
