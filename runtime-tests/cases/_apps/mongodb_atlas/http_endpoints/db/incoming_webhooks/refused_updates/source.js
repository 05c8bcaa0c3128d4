exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_refused_updates").collection("things");
  const refused = async (promise) => promise.then(() => "done", (error) => [error.error_code, error.message.length > 0]);
  return [
    await refused(things.updateOne({ a: 1 }, {})),
    await refused(things.updateOne({ a: 1 })),
    await refused(things.updateMany({}, { a: 5 })),
    await refused(things.replaceOne({ a: 1 }, { $set: { a: 2 } })),
    await refused(things.findOneAndReplace({ a: 1 }, { $set: { a: 2 } })),
    await refused(things.updateOne("a", { $set: { a: 2 } })),
  ];
};
