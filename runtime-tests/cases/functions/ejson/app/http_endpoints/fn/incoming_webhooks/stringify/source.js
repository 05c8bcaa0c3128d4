exports = () => EJSON.stringify({ d: new Date(0), id: BSON.ObjectId("5e58667d902d38559c802b13"), f: 1.5, u: undefined, n: null });
