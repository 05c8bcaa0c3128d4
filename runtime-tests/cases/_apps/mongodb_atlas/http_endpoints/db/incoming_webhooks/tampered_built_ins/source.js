exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_tampered_built_ins").collection("things");
  const stolen = [];
  Array.prototype.push = function () { stolen.push.call(stolen, "push"); };
  Array.prototype[Symbol.iterator] = function () { throw new Error("iterated"); };
  Object.keys = () => { throw new Error("keys"); };
  Array.isArray = () => { throw new Error("isArray"); };
  Promise.prototype.then = function () { throw new Error("then"); };
  Promise.resolve = () => { throw new Error("resolve"); };
  const documents = await things.find().batchSize(1).toArray();
  const bulk = await things.bulkWrite([{ insertOne: { document: { _id: 4 } } }]);
  return { count: documents.length, bulk, same: documents[0]._id === 1 };
};
