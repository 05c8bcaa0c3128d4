exports = function () {
  const client = context.services.get("mongodb-atlas");
  const names = client.db("ma_collection_names").getCollectionNames();
  return { names, isArray: Array.isArray(names), databases: client.admin().getDBNames().includes("ma_collection_names") };
};
