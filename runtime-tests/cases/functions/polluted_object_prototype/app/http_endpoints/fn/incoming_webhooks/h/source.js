exports = async function () {
  Object.prototype.first = function () {}; Object.prototype.limit = 1; Object.prototype.session = {};
  const c = context.services.get("mongodb-atlas").db("fn17").collection("c");
  await c.insertOne({ _id: 1, a: 1 }); await c.insertOne({ _id: 2, a: 2 });
  await c.updateOne({ a: 1 }, { $set: { b: 1 } }, { upsert: true });
  return await c.find({}, {}).sort({ a: -1 }).toArray();
};
