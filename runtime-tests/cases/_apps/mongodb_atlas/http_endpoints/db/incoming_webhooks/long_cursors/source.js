exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_long_cursors").collection("things");
  const documents = [];
  for (let i = 0; i < 1000; i++) documents.push({ _id: i });
  await things.insertMany(documents);
  const all = await things.find().sort({ _id: 1 }).batchSize(70).toArray();
  let sum = 0;
  for await (const thing of things.find().batchSize(33)) sum += thing._id;
  const aggregated = await things.aggregate([{ $match: {} }], { batchSize: 100 }).toArray();
  return { length: all.length, inOrder: all.every((thing, i) => thing._id === i), sum, aggregated: aggregated.length };
};
