exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_find_gives_documents").collection("things");
  await things.insertMany([{ a: 1 }, { a: 2 }]);
  const found = await things.find({ a: 1 }).toArray();
  return { count: found.length, a: found[0].a, isObjectId: found[0]._id instanceof BSON.ObjectId, isArray: Array.isArray(found) };
};
