exports = async function () {
  const client = context.services.get("mongodb-atlas");
  const things = client.db("ma_forgotten_transactions").collection("things");
  const session = client.startSession();
  session.startTransaction();
  await things.updateOne({ _id: 1 }, { $set: { a: 10 } }, { session });
  return true;
};
