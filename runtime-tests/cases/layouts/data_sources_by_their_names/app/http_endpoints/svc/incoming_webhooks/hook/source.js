exports = async function () {
  const a = context.services.get("Cluster0").db("wh90").collection("c");
  await a.insertOne({ _id: 1 });
  return await context.services.get("Reports").db("wh90").collection("c").findOne({});
};
