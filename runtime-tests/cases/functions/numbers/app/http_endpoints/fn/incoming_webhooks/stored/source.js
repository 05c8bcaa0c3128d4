exports = async () => await context.services.get("mongodb-atlas").db("fn32").collection("c").findOne({ _id: 1 });
