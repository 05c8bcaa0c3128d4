exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_cursors_left_open").collection("things");
  let refused = 0;
  for (let i = 0; i < 1100; i++) {
    try {
      await things.find().batchSize(1).next();
    } catch (error) {
      refused++;
      if (!error.message.startsWith("too many open cursors")) throw error;
    }
  }
  return refused;
};
