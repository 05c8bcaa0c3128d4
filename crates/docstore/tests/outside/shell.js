// What people type into mongosh. Prints AGREES when every answer is the expected one.
const check = (name, found, expected) => {
  const [a, b] = [EJSON.stringify(found), EJSON.stringify(expected)];
  if (a !== b) { print(`${name}: expected ${b}, found ${a}`); quit(1); }
};
db = db.getSiblingDB('shell');
db.dropDatabase();
check('insert', db.c.insertMany([{ _id: 1, a: 1 }, { _id: 2, a: 2 }]).acknowledged, true);
check('find', db.c.find({ a: { $gt: 1 } }).toArray(), [{ _id: 2, a: 2 }]);
check('sort', db.c.find().sort({ a: -1 }).limit(1).toArray()[0]._id, 2);
check('update', db.c.updateOne({ _id: 1 }, { $set: { b: 'x' } }).modifiedCount, 1);
check('count', db.c.countDocuments({}), 2);
check('aggregate', db.c.aggregate([{ $group: { _id: null, s: { $sum: '$a' } } }]).toArray(), [{ _id: null, s: 3 }]);
check('index', db.c.createIndex({ a: 1 }), 'a_1');
check('explain', db.c.find({ a: 1 }).explain().queryPlanner.winningPlan.inputStage.indexName, 'a_1');
check('collections', db.getCollectionNames(), ['c']);
check('stats', db.c.stats().count, 2);
check('hello', db.hello().isWritablePrimary, true);
check('databases', db.adminCommand({ listDatabases: 1 }).databases.map((one) => one.name).includes('shell'), true);
check('rename', db.c.renameCollection('d').ok, 1);
check('drop', db.d.drop(), true);
db.dropDatabase();
print('AGREES');
