// Calls a service by the steps of the body: `path` is a chain of calls, each [name, ...arguments].
exports = async function (payload, response) {
  const { name, path } = EJSON.parse(payload.body.text());
  let told;
  try {
    let value = context.services.get(name);
    for (const [method, ...args] of path) value = value[method](...args);
    told = { isPromise: value instanceof Promise };
    told.value = await value;
    if (told.value === undefined) told.value = "undefined";
  } catch (error) {
    told = { failed: error instanceof Error, message: error.message, code: error.error_code };
  }
  response.setBody(EJSON.stringify(told, { relaxed: true }));
};
