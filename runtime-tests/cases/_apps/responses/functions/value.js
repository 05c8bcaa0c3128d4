exports = () => ({ d: new Date(0), id: BSON.ObjectId("5d505646cf6d4fe581014ab2") });
