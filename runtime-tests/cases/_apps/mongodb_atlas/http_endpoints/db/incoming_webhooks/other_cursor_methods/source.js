exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_other_cursor_methods").collection("things");
  const seen = [];
  await things.find().sort({ a: 1 }).forEach((thing) => seen.push(thing.a));
  const mapped = await things.find().sort({ a: 1 }).map((thing) => thing.a * 10).toArray();
  const cursor = things.find().project({ _id: 0 }).sort({ a: 1 }).batchSize(2);
  const before = [await cursor.hasNext(), cursor.isExhausted()];
  const rest = await cursor.toArray();
  const after = [await cursor.hasNext(), cursor.isExhausted()];
  const closed = things.find().batchSize(2);
  await closed.next();
  await closed.close();
  return { seen, mapped, before, rest, after, closed: await closed.toArray(), count: await things.find({ a: { $gt: 1 } }).count() };
};
