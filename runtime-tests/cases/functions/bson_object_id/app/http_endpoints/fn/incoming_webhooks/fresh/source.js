exports = () => { const ids = []; for (let i = 0; i < 5; i++) ids.push(String(new BSON.ObjectId())); return new Set(ids).size; };
