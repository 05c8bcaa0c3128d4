exports = async function () {
  const db = context.services.get("mongodb-atlas").db("ma_database_aggregations");
  return await db.aggregate([{ $documents: [{ a: 1 }, { a: 2 }] }, { $match: { a: 2 } }]).toArray();
};
