exports = async function () {
  const mongo = context.services.get("mongodb-atlas");
  await mongo.db("own").collection("plain").insertOne({ kept: true });
  const plain = mongo.db("own").collection("plain");
  const state = mongo.db("selvedge_" + "state-abcde");
  const attempts = [
    () => state.collection("users").find({}).toArray(),
    () => mongo.db("SELVEDGE_other-abcde").collection("users").findOne({}),
    () => state.collection("users").insertOne({ _id: "me" }),
    () => state.collection("users").bulkWrite([{ insertOne: { document: {} } }]),
    () => state.getCollectionNames(),
    () => state.aggregate([{ $documents: [{ a: 1 }] }]).toArray(),
    () => plain.aggregate([{ $out: { db: "selvedge_state-abcde", coll: "users" } }]).toArray(),
    () => plain.aggregate([{ $merge: { into: { db: "selvedge_state-abcde", coll: "users" } } }]).toArray(),
  ];
  const answers = [];
  for (const attempt of attempts) {
    try {
      await attempt();
      answers.push("reached");
    } catch (error) {
      answers.push(error.message.includes("the server's own state") ? "refused" : error.message);
    }
  }
  const names = await mongo.admin().getDBNames();
  return { answers, seen: names.filter((name) => name.startsWith("selvedge_")) };
};
