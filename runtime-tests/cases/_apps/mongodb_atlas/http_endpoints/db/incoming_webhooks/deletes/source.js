exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_deletes").collection("things");
  return [await things.deleteOne({ a: { $lt: 3 } }), await things.deleteMany({}), await things.deleteMany({})];
};
