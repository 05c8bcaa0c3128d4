exports = async function () { await context.services.get("mongodb-atlas").db("fn50").collection("closed").insertOne({ _id: 1 }); return context.runningAsSystem(); };
