exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_number_types").collection("things");
  await things.insertOne({ _id: 1, a: 1, b: 1.5, c: 3000000000, d: BSON.Double(1), e: BSON.Int32(1), f: BSON.Long(1, 0) });
  const [types] = await things.aggregate([{ $match: { _id: 1 } }, { $project: { _id: 0, a: { $type: "$a" }, b: { $type: "$b" }, c: { $type: "$c" }, d: { $type: "$d" }, e: { $type: "$e" }, f: { $type: "$f" } } }]).toArray();
  const stored = await things.findOne({ _id: 2 });
  await things.replaceOne({ _id: 2 }, stored);
  return types;
};
