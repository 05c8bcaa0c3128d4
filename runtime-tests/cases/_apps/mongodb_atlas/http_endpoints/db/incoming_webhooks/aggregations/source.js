exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_aggregations").collection("things");
  const pipeline = [{ $match: { a: { $gt: 0 } } }, { $sort: { a: 1 } }];
  return {
    all: (await things.aggregate([{ $match: { a: 1 } }]).toArray()).length,
    first: await things.aggregate(pipeline).next(),
    skipped: await things.aggregate(pipeline).skip(1).toArray(),
    sorted: await things.aggregate(pipeline).sort({ a: -1 }).limit(1).toArray(),
    grouped: await things.aggregate([{ $group: { _id: null, total: { $sum: "$a" } } }]).next(),
    untouched: pipeline.length,
  };
};
