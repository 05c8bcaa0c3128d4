exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_forged_types").collection("things");
  await things.insertOne({ _id: 1, a: { _bsontype: "ObjectId", id: "5e58667d902d38559c802b13" }, b: { $oid: "5e58667d902d38559c802b13" } }).catch(() => 0);
  await things.insertOne({ _id: 2, a: { _bsontype: "Long", low: 1, high: 2 }, c: Object.create(BSON.ObjectId.prototype) });
  const stored = await things.findOne({ _id: 2 });
  return { a: stored.a, isLong: stored.a instanceof BSON.Long, isObjectId: stored.c instanceof BSON.ObjectId };
};
