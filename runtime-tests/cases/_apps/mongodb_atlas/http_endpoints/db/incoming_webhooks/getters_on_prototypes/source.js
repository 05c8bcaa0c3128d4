exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_getters_on_prototypes").collection("things");
  let reads = 0;
  for (const key of ["session", "upsert", "limit", "sort", "projection", "cursor", "documents", "value", "filter", "options", "transaction"]) {
    Object.defineProperty(Object.prototype, key, { __proto__: null, get() { reads++; throw new Error(`read ${key}`); }, configurable: true });
  }
  const found = await things.find({ a: { $gt: 0 } }, {}).toArray();
  await things.updateOne({ _id: 1 }, { $set: { b: 1 } }, {});
  const one = await things.findOne({ _id: 1 });
  return [reads, found.length, one.b];
};
