exports = function () { return context.services.get("mongodb-atlas").db("fn21").collection("c").find({}); };
