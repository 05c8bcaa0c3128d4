exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_parallel_finds").collection("things");
  const wanted = [];
  for (let i = 0; i < 20; i++) wanted.push((i % 3) + 1);
  const found = await Promise.all(wanted.map((a) => things.findOne({ a })));
  return found.every((thing, i) => thing.a === wanted[i]);
};
