exports = async () => {
    const closed = context.services.get("mongodb-atlas").db("accounts").collection("closed");
    await closed.insertOne({ by: "system" });
    return context.user.type;
};
