exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_find_and_delete").collection("things");
  const removed = await things.findOneAndDelete({}, { sort: { a: -1 }, projection: { _id: 0, a: 1 } });
  return { removed, missed: await things.findOneAndDelete({ a: 99 }) };
};
