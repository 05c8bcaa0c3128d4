exports = async function () { return await context.functions.execute("getColl", "x").findOne({}); };
