exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_stored_types").collection("things");
  const thing = await things.findOne({ _id: 1 });
  return {
    long: [thing.long instanceof BSON.Long, thing.long.toString()],
    decimal: [thing.decimal instanceof BSON.Decimal128, thing.decimal.toString()],
    date: [thing.date instanceof Date, thing.date.getTime()],
    safeLong: [typeof thing.safeLong, thing.safeLong + 1],
    binary: [thing.binary instanceof BSON.Binary, thing.binary.text()],
    pattern: [thing.pattern instanceof BSON.BSONRegExp, thing.pattern.pattern, thing.pattern.options],
    nothing: thing.nothing,
  };
};
