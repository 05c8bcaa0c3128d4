exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_polluted_prototypes").collection("things");
  Object.prototype.sum = function () {};
  Array.prototype.last = function () { return this[this.length - 1]; };
  await things.insertOne({ _id: 4, a: 4 }, {});
  await things.updateOne({ _id: 4 }, { $set: { b: 1 } }, { upsert: true });
  const found = await things.find({ a: 4 }, { projection: { a: 1, b: 1 } }).toArray();
  return { keys: Object.keys(found.last()), count: found.length };
};
