exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_pipelines_are_arrays").collection("things");
  try {
    await things.aggregate({ $match: {} }).toArray();
  } catch (error) {
    return error instanceof Error;
  }
};
