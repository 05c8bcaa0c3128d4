exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_bulk_writes").collection("things");
  const result = await things.bulkWrite([
    { insertOne: { document: { _id: 1, a: 1 } } },
    { insertOne: { _id: 2, b: 2 } },
    { updateOne: { filter: { a: 1 }, update: { $set: { c: 1 } } } },
    { deleteOne: { filter: { b: 2 } } },
  ]);
  return { result };
};
