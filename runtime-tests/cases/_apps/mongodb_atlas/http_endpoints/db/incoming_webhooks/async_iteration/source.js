exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_async_iteration").collection("things");
  let all = 0;
  for await (const thing of things.find()) all += thing.a;
  let first = 0;
  for await (const thing of things.find().sort({ a: 1 })) {
    first = thing.a;
    break;
  }
  const cursor = things.find();
  return { all, first, then: typeof cursor.then, same: (await cursor) === cursor };
};
