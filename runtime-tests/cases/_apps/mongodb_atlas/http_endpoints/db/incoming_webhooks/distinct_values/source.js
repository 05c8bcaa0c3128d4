exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_distinct_values").collection("things");
  return { a: await things.distinct("a", {}), filtered: await things.distinct("a", { b: { $gt: 1 } }), none: await things.distinct("z") };
};
