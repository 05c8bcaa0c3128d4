exports = async () => { const doc = await context.services.get("mongodb-atlas").db("fn32").collection("c").findOne({ _id: 1 }); return doc.b === 2 && doc.c + 1 === 4 && typeof doc.b === "number"; };
