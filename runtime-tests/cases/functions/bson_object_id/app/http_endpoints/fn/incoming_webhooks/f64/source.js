exports = () => { const id = BSON.ObjectId("5e58667d902d38559c802b13"); const d = {}; d[id] = 1; return Object.keys(d)[0]; };
