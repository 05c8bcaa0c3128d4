// Runs `[collection, method, ...arguments]` one after another; a failure is `{error, code}`.
exports = async function (payload) {
  const database = context.services.get("mongodb-atlas").db("rules_cases");
  const results = [];
  for (const [name, method, ...parameters] of EJSON.parse(payload.body.text())) {
    const collection = database.collection(name);
    try {
      if (method === "fill") {
        for (let start = 0; start < parameters[0]; start += 1000) {
          await collection.insertMany(Array.from({ length: 1000 }, (_, index) => ({ _id: start + index })));
        }
        results.push(null);
      } else if (method === "length") {
        results.push((await collection.find().toArray()).length);
      } else if (method === "find" || method === "aggregate") {
        results.push(await collection[method](...parameters).toArray());
      } else {
        results.push(await collection[method](...parameters));
      }
    } catch (error) {
      results.push({ error: error.message, code: error.error_code });
    }
  }
  return results;
};
