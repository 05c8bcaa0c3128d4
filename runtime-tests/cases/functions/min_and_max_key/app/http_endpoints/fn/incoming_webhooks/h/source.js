exports = async () => (await context.services.get("mongodb-atlas").db("fn74").collection("c").find({ a: { $lt: BSON.MaxKey } }).toArray()).length;
