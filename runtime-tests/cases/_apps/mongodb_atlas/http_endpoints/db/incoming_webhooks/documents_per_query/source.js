exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_documents_per_query").collection("things");
  for (let batch = 0; batch < 5; batch++) {
    const documents = [];
    for (let i = 0; i < 10000; i++) documents.push({ _id: batch * 10000 + i });
    await things.insertMany(documents);
  }
  await things.insertOne({ _id: 50000 });
  return { found: (await things.find({}, { _id: 1 }).toArray()).length, counted: await things.count() };
};
