exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_find_and_modify").collection("things");
  const before = await things.findOneAndUpdate({ _id: 1 }, { $set: { a: 10 } });
  const after = await things.findOneAndUpdate({ _id: 1 }, { $set: { a: 11 } }, { returnNewDocument: true });
  const missed = await things.findOneAndUpdate({ a: 99 }, { $set: { b: 1 } });
  const upserted = await things.findOneAndUpdate({ _id: 7 }, { $set: { b: 1 } }, { upsert: true });
  const upsertedNew = await things.findOneAndUpdate({ _id: 8 }, { $set: { b: 1 } }, { upsert: true, returnNewDocument: true });
  const ignored = await things.findOneAndUpdate({ _id: 2 }, { $set: { a: 20 } }, { someOption: 1, returnDocument: "after" });
  const replaced = await things.findOneAndReplace({ _id: 3 }, { z: 1 }, { returnNewDocument: true });
  return { before, after, missed, upserted, upsertedNew, ignored, replaced };
};
