exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_inserted_ids").collection("things");
  const given = { a: 1 };
  const one = await things.insertOne(given);
  const stored = await things.findOne({ _id: one.insertedId });
  const named = await things.insertOne({ _id: "k" });
  const many = await things.insertMany([{ a: 1 }, { _id: "m", a: 2 }, { a: 3 }]);
  const order = await Promise.all(many.insertedIds.map((_id) => things.findOne({ _id })));
  return {
    keys: Object.keys(one),
    isObjectId: one.insertedId instanceof BSON.ObjectId,
    storedKeys: Object.keys(stored),
    named,
    given,
    manyKeys: Object.keys(many),
    isArray: Array.isArray(many.insertedIds),
    order: order.map((thing) => thing.a),
  };
};
