exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_unavailable_methods").collection("things");
  const texts = [];
  for (const method of ["watch", "createIndex", "drop"]) {
    texts.push(await things[method]().then(() => "done", (error) => error.message.includes("not available in functions")));
  }
  return texts;
};
