exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_database_errors").collection("things");
  return things.find({ a: { $foo: 1 } }).toArray();
};
