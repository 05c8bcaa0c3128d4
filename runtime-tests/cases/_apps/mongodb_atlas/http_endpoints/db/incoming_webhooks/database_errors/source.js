exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_database_errors").collection("things");
  try {
    await things.find({ a: { $foo: 1 } }).toArray();
  } catch (error) {
    return {
      message: error.message,
      name: error.name,
      code: error.code,
      codeName: error.codeName,
      error_code: error.error_code,
      isError: error instanceof Error,
      keys: Object.keys(error),
    };
  }
};
