exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_duplicate_keys").collection("things");
  try {
    await things.insertOne({ _id: 1 });
  } catch (error) {
    return {
      message: error.message,
      code: error.code,
      codeName: error.codeName,
      error_code: error.error_code,
      replaced: await things.updateOne({ _id: 2 }, { $set: { u: 1 } }).catch((refused) => refused.code),
    };
  }
};
