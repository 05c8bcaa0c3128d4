exports = function () { const c = context.services.get("mongodb-atlas").db("fn24").collection("c"); for (let i = 0; i < 50; i++) c.insertOne({ _id: i }); return "done"; };
