exports = function () {
  const client = context.services.get("mongodb-atlas");
  const collection = client.db("no such database").collection("no such collection");
  Object.prototype.addedLater = function () { return "inherited"; };
  collection.note = "kept";
  return {
    runCommand: typeof collection.runCommand,
    rename: typeof collection.rename,
    text: JSON.stringify({ client, collection: client.db("x").collection("y") }),
    inherited: collection.addedLater(),
    note: collection.note,
    names: [client.db("x").name, collection.name, client.db("x").collection("y").namespace],
    unknown: typeof context.services.get("nope"),
  };
};
