exports = () => JSON.stringify({ _id: new BSON.ObjectId("5e58667d902d38559c802b13") });
