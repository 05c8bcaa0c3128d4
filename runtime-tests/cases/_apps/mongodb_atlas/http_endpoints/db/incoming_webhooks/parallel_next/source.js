exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_parallel_next").collection("things");
  const cursor = things.find().sort({ a: 1 });
  const pulled = await Promise.all([cursor.next(), cursor.next(), cursor.next(), cursor.next()]);
  return pulled.map((thing) => (thing === undefined ? "end" : thing.a));
};
