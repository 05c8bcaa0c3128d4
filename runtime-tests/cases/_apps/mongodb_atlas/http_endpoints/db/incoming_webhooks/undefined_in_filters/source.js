exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_undefined_in_filters").collection("things");
  const texts = [];
  for (const filter of [{ a: undefined }, { a: { $gt: undefined } }, { a: { $in: [1, undefined] } }, { $or: [{ a: undefined }] }]) {
    try {
      await things.find(filter).toArray();
      texts.push("found");
    } catch (error) {
      texts.push(error.message.includes("cannot compare to undefined") || error.message);
    }
  }
  try {
    await things.deleteMany({ a: undefined });
  } catch (error) {
    texts.push(error.message);
  }
  return texts;
};
