exports = () => { const c = {}; c.self = c; console.log("a", 1, { b: 2 }); console.error(new Error("e"), BSON.ObjectId("5e58667d902d38559c802b13"), undefined, null); console.info(c); };
