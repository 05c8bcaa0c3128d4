exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_cursor_methods_chain_in_any_order").collection("things");
  const values = async (cursor) => (await cursor.toArray()).map((thing) => thing.a);
  return [
    await values(things.find().sort({ a: -1 }).limit(2).skip(1)),
    await values(things.find().skip(1).limit(2).sort({ a: -1 })),
    await values(things.find().limit(2).skip(1).sort({ a: -1 })),
    await values(things.find().limit(1).limit(0).sort({ a: 1 }).sort([["a", -1]])),
  ];
};
