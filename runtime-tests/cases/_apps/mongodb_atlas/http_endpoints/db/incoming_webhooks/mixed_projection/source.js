exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_mixed_projection").collection("things");
  try {
    await things.find({}, { a: 1, b: 0 }).toArray();
  } catch (error) {
    return { isError: error instanceof Error, name: error.name, hasMessage: error.message.length > 0, code: error.code > 0 };
  }
};
