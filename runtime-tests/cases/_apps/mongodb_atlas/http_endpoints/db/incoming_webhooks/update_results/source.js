exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_update_results").collection("things");
  const changed = await things.updateOne({ a: 1 }, { $set: { b: 1 } });
  const same = await things.updateOne({ a: 1 }, { $set: { b: 1 } });
  const upserted = await things.updateOne({ a: 9 }, { $set: { b: 1 } }, { upsert: true });
  const upsertedKnown = await things.updateOne({ _id: "u" }, { $set: { b: 1 } }, { upsert: true });
  const many = await things.updateMany({ _id: { $in: [1, 2, 3] } }, { $inc: { n: 1 } });
  const nothing = await things.updateMany({ a: 77 }, { $set: { b: 1 } });
  return { changed, same, upserted, isObjectId: upserted.upsertedId instanceof BSON.ObjectId, upsertedKnown, many, nothing };
};
