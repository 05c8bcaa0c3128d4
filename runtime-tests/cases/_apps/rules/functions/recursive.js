exports = async () => {
  const collection = context.services.get("mongodb-atlas").db("rules_cases").collection("recursive");
  return (await collection.count({})) > 0;
};
