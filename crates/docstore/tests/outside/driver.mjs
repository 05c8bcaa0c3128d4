// What a program on the official Node driver does, against the connection string in the first argument. Any difference
// from what it expects ends it with an error.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const require = createRequire(process.env.DOCSTORE_NODE_MODULES + '/');
const { MongoClient, Long, Decimal128, ObjectId, Timestamp } = require('mongodb');

const client = new MongoClient(process.argv[2]);
await client.connect();
const db = client.db('node');
await db.dropDatabase();
const things = db.collection('things');

// CRUD, every BSON type there and back.
const types = {
  _id: new ObjectId(), int: 1, double: 1.5, long: Long.fromString('9007199254740993'), text: 'é', list: [1, [2]],
  decimal: Decimal128.fromString('1.20'), date: new Date(0), null: null, regex: /a/i, bytes: Buffer.from('hi'),
  time: new Timestamp({ t: 1, i: 2 }), inner: { a: { b: true } },
};
await things.insertOne(types);
const found = await things.findOne({ _id: types._id }, { promoteLongs: false, promoteBuffers: true });
assert.equal(found.long.toString(), '9007199254740993');
assert.equal(found.decimal.toString(), '1.20');
assert.deepEqual(found.inner, types.inner);
assert.deepEqual(found.list, types.list);
assert.equal(found.regex.flags, 'i');
await things.deleteMany({});
assert.equal((await things.insertMany([...Array(500).keys()].map((n) => ({ _id: n, n: n % 10 })))).insertedCount, 500);
assert.equal((await things.find({ n: 3 }).batchSize(7).toArray()).length, 50);
assert.equal((await things.updateMany({ n: 3 }, { $inc: { n: 100 } })).modifiedCount, 50);
assert.deepEqual((await things.findOneAndUpdate({ _id: 3 }, { $set: { x: 1 } }, { returnDocument: 'after' })), { _id: 3, n: 103, x: 1 });
assert.equal(await things.countDocuments({ n: { $gt: 50 } }), 50);
assert.equal(await things.estimatedDocumentCount(), 500);
assert.deepEqual((await things.distinct('n', { _id: { $lt: 3 } })), [0, 1, 2]);
const groups = await things.aggregate([{ $group: { _id: '$n', c: { $sum: 1 } } }, { $sort: { _id: 1 } }]).toArray();
assert.deepEqual(groups[0], { _id: 0, c: 50 });
const bulk = await things.bulkWrite([
  { insertOne: { document: { _id: 'b' } } }, { updateOne: { filter: { _id: 'u' }, update: { $set: { a: 1 } }, upsert: true } },
  { deleteOne: { filter: { _id: 'b' } } },
]);
assert.equal(bulk.upsertedCount, 1);
assert.equal(bulk.deletedCount, 1);

// Indexes and their errors.
await things.createIndex({ unique: 1 }, { unique: true, sparse: true });
await things.insertOne({ unique: 1 });
await assert.rejects(things.insertOne({ unique: 1 }), (error) => error.code === 11000 && error.keyPattern.unique === 1);
assert.deepEqual((await things.indexes()).map((index) => index.name), ['_id_', 'unique_1']);

// Transactions.
const session = client.startSession();
await session.withTransaction(async () => {
  await things.insertOne({ _id: 't1' }, { session });
  await db.collection('others').insertOne({ _id: 't2' }, { session });
});
await assert.rejects(session.withTransaction(async () => {
  await things.insertOne({ _id: 't3' }, { session });
  throw new Error('no');
}), /no/);
await session.endSession();
assert.equal(await things.countDocuments({ _id: { $in: ['t1', 't3'] } }), 1);

// Change streams.
const stream = things.watch([], { fullDocument: 'updateLookup' });
const events = [];
const closed = (async () => { for await (const event of stream) { events.push(event); if (events.length === 3) break; } })();
await new Promise((resolve) => setTimeout(resolve, 200));
await things.insertOne({ _id: 'w' });
await things.updateOne({ _id: 'w' }, { $set: { a: 1 } });
await things.deleteOne({ _id: 'w' });
await closed;
assert.deepEqual(events.map((event) => event.operationType), ['insert', 'update', 'delete']);
assert.deepEqual(events[1].updateDescription.updatedFields, { a: 1 });
await stream.close();

// A client-wide bulk write, collection management, a capped collection's tail.
if (client.bulkWrite) {
  const result = await client.bulkWrite([{ name: 'insertOne', namespace: 'node.bulk', document: { _id: 1 } }]);
  assert.equal(result.insertedCount, 1);
}
await db.createCollection('log', { capped: true, size: 4096 });
await db.collection('log').insertOne({ n: 1 });
const tail = db.collection('log').find({}, { tailable: true, awaitData: true });
assert.equal((await tail.next()).n, 1);
await tail.close();
const names = (await db.listCollections().toArray()).map((collection) => collection.name).sort();
assert.deepEqual(names, ['bulk', 'log', 'others', 'things']);
await assert.rejects(db.command({ nothing: 1 }), (error) => error.code === 59);
await db.dropDatabase();
await client.close();
console.log('AGREES');
