exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_invalid_parameter_uncaught").collection("things");
  await things.findOneAndReplace({ a: 1 }, { $set: { a: 2 } });
};
