exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_undefined_and_functions_in_documents").collection("things");
  await things.insertOne({ _id: 1, a: undefined, b: function () {} });
  await things.updateOne({ _id: 1 }, { $set: { c: undefined } });
  return await things.findOne();
};
