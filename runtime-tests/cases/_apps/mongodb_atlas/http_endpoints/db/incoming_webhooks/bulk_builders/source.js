exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_bulk_builders").collection("things");
  const empty = await things.initializeUnorderedBulkOp().execute().then(() => "done", (error) => error.message);
  const bulk = things.initializeOrderedBulkOp();
  bulk.find({ k: 1 }).upsert().updateOne({ $set: { v: 1 } });
  bulk.insert({ k: 2 });
  bulk.find({ k: 2 }).remove();
  const { upsertedIds, insertedIds, ...counts } = await bulk.execute();
  const again = await bulk.execute().then(() => "done", (error) => error instanceof Error);
  const rest = await things.find({}, { _id: 0 }).toArray();
  return { empty, counts, ids: [Object.keys(upsertedIds), Object.keys(insertedIds)], again, rest };
};
