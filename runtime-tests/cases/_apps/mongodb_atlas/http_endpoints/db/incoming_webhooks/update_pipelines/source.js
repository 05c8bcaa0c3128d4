exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_update_pipelines").collection("things");
  await things.updateOne({ _id: 1 }, [{ $set: { b: "$a" } }]);
  await things.updateOne({ _id: 2 }, { $set: { "g.$[e].x": 1 } }, { arrayFilters: [{ "e.k": 2 }] });
  return true;
};
