exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_counts").collection("things");
  const n = await things.count();
  return {
    strict: n === 3,
    filtered: await things.count({ a: 1 }),
    limited: await things.count({}, { limit: 2 }),
    skipped: await things.count({}, { skip: 2 }),
    aliases: [await things.countDocuments({ a: 1 }), await things.estimatedDocumentCount()],
    nothing: await things.count({ a: 9 }),
  };
};
