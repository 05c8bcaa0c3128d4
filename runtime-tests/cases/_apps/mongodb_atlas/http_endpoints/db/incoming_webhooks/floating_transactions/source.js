async function move(client, things) {
  const session = client.startSession();
  try {
    await session.withTransaction(async () => {
      await things.updateOne({ _id: 1 }, { $inc: { a: -1 } }, { session });
      await things.updateOne({ _id: 2 }, { $inc: { a: 1 } }, { session });
    });
  } finally {
    session.endSession();
  }
}

exports = function () {
  const client = context.services.get("mongodb-atlas");
  move(client, client.db("ma_floating_transactions").collection("things"));
  return true;
};
