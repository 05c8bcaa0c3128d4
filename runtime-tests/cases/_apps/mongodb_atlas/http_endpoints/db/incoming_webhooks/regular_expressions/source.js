exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_regular_expressions").collection("things");
  const found = [];
  for (const n of [{ $regex: "^A", $options: "i" }, { $regex: BSON.BSONRegExp("^A", "i") }, { $regex: /^a/ }, /^a/, BSON.BSONRegExp("^a")]) {
    found.push((await things.find({ n }).toArray()).length);
  }
  return found;
};
