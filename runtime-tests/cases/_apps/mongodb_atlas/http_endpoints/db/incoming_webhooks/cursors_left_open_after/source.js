exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_cursors_left_open").collection("things");
  return (await things.find().batchSize(1).toArray()).length;
};
