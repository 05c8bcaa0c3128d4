exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_updates_without_operators").collection("things");
  const plain = await things.updateOne({ a: 1 }, { a: 5 });
  const replaced = await things.replaceOne({ a: 2 }, { a: 6, b: 7 });
  const before = await things.findOneAndUpdate({ a: 3 }, { a: 8 });
  return { plain, replaced, before };
};
