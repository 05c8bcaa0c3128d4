exports = async function () { const c = await context.services.get("mongodb-atlas").db("fn21").collection("c").find({}); return { result: c }; };
