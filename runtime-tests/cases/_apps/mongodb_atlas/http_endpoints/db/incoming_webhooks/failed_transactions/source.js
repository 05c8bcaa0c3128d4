exports = async function () {
  const client = context.services.get("mongodb-atlas");
  const things = client.db("ma_failed_transactions").collection("things");
  const session = client.startSession();
  const thrown = new Error("changed my mind");
  let same = false;
  try {
    await session.withTransaction(async () => {
      await things.insertOne({ _id: 4 }, { session });
      await things.insertOne({ _id: 5 });
      throw thrown;
    });
  } catch (error) {
    same = error === thrown;
    await session.abortTransaction();
  } finally {
    await session.endSession();
  }
  return { same, inside: await things.findOne({ _id: 4 }), outside: await things.findOne({ _id: 5 }) };
};
