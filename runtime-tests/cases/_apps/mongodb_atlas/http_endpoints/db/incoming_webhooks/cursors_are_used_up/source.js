exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_cursors_are_used_up").collection("things");
  const two = things.find({ a: { $lt: 3 } }).sort({ a: 1 });
  const thrice = [await two.next(), await two.next(), String(await two.next())];
  const cursor = things.find().sort({ a: 1 });
  await cursor.next();
  const rest = await cursor.toArray();
  const second = await cursor.toArray();
  let refused = "no";
  try {
    cursor.sort({});
  } catch (error) {
    refused = error instanceof Error;
  }
  return { thrice, rest, second, refused };
};
