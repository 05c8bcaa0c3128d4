exports = async function () {
  const things = context.services.get("mongodb-atlas").db("ma_failing_bulk_writes").collection("things");
  const inserts = [{ insertOne: { document: { _id: 10 } } }, { insertOne: { document: { _id: 1 } } }, { insertOne: { document: { _id: 11 } } }];
  const refused = async (promise) => promise.then(() => "done", (error) => [error.code, error.message.includes("duplicate key")]);
  const ordered = await refused(things.bulkWrite(inserts));
  const afterOrdered = await things.count({ _id: { $gte: 10 } });
  await things.deleteMany({ _id: { $gte: 10 } });
  const unordered = await refused(things.bulkWrite(inserts, { ordered: false }));
  const afterUnordered = await things.count({ _id: { $gte: 10 } });
  const many = await refused(things.insertMany([{ _id: 20 }, { _id: 1 }, { _id: 21 }]));
  const afterMany = await things.count({ _id: { $gte: 20 } });
  const empty = await things.insertMany([]).then(() => "done", (error) => error.error_code);
  const emptyBulk = await things.bulkWrite([]).then(() => "done", (error) => error.message);
  const unknown = await things.bulkWrite([{ upsertOne: {} }]).then(() => "done", (error) => error.error_code);
  return { ordered, afterOrdered, unordered, afterUnordered, many, afterMany, empty, emptyBulk, unknown };
};
