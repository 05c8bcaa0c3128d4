exports = function(p, r) { context.services.get("mongodb-atlas").db("wh70").collection("c").insertOne({ a: 1 }).then(() => r.setBody("later")); };
