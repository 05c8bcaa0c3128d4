exports = function (payload, response) { const c = context.services.get("mongodb-atlas").db("fn24").collection("c"); c.count().then(n => response.setBody(String(n))); };
