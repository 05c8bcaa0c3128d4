exports = async function() {
    const closed = context.services.get("mongodb-atlas").db("accounts").collection("closed");
    const own = () => closed.insertOne({ by: "user" }).then(() => "written", (error) => error.message);
    const [elevated, beside] = await Promise.all([context.functions.execute("writesAsSystem"), own()]);
    return [elevated, beside, await own(), context.runningAsSystem()];
};
