exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_other_types_survive").collection("things");
  await things.insertOne({ z: 1, a: 2, b: BSON.Binary.fromText("x"), r: /a/i, d: new Date(0), n: null });
  const stored = await things.findOne();
  return {
    keys: Object.keys(stored),
    text: stored.b.text(),
    pattern: [stored.r.pattern, stored.r.options],
    date: stored.d instanceof Date && stored.d.getTime() === 0,
    nothing: stored.n,
  };
};
