exports = (name) => context.services.get("mongodb-atlas").db("fn43").collection(name);
