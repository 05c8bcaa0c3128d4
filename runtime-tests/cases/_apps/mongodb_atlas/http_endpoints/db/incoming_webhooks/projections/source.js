exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_projections").collection("things");
  return {
    projection: await things.findOne({ a: 1 }, { a: 1, _id: 0 }),
    options: await things.findOne({ a: 1 }, { projection: { a: 1, _id: 0 } }),
    fieldNamedLikeAnOption: await things.findOne({ x: 2 }, { limit: 1, _id: 0 }),
    cursor: await things.find({ a: 1 }, { b: 1, _id: 0 }).toArray(),
    sorted: await things.find({}, { sort: { _id: -1 }, limit: 2 }).toArray(),
    everything: await things.findOne({ a: 1 }, {}),
  };
};
