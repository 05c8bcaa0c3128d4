exports = async function () {
  const client = context.services.get("mongodb-atlas");
  const things = client.db("ma_transactions").collection("things");
  const session = client.startSession();
  const value = await session.withTransaction(async (given) => {
    await things.insertOne({ _id: 4 }, { session });
    await Promise.all([things.updateOne({ _id: 1 }, { $set: { a: 10 } }, { session }), things.insertOne({ _id: 5 }, { session })]);
    return { same: given === session, inside: await things.count({}, { session }), outside: await things.count() };
  });
  await session.endSession();
  await session.endSession();
  return value;
};
