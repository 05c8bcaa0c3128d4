exports = async function () { return await context.functions.execute("writes"); };
