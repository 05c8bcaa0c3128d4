exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_nothing_found").collection("things");
  const one = await things.findOne({ a: 9 });
  const next = await things.find({ a: 9 }).next();
  const cursor = things.find();
  const names = [];
  for (let thing; (thing = await cursor.next()) !== undefined; ) names.push(thing.a);
  return { one, next: String(next), names, again: String(await cursor.next()) };
};
