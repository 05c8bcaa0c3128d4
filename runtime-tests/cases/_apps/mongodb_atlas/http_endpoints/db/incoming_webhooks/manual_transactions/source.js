exports = async function () {
  const client = context.services.get("mongodb-atlas");
  const things = client.db("ma_manual_transactions").collection("things");
  const session = client.startSession();
  session.startTransaction();
  await things.insertOne({ _id: 4 }, { session });
  const before = await things.findOne({ _id: 4 });
  await session.commitTransaction();
  const committed = await things.findOne({ _id: 4 });
  session.startTransaction();
  await things.insertOne({ _id: 5 }, { session });
  const inside = await things.find({ _id: 5 }, {}, { session }).toArray();
  await session.abortTransaction();
  const aborted = await things.findOne({ _id: 5 });
  return { before, committed, inside, aborted };
};
