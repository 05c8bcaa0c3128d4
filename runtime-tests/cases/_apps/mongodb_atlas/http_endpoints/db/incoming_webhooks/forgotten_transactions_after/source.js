exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_forgotten_transactions").collection("things");
  return await things.updateOne({ _id: 1 }, { $set: { a: 20 } });
};
