exports = async ({ token, tokenId, username }) => {
    if (username.startsWith("pending")) {
        const mails = context.services.get("mongodb-atlas").db("realm_web").collection("mails");
        await mails.insertOne({ token, tokenId, username });
        return { status: "pending" };
    }
    return { status: username.startsWith("good") ? "success" : "fail" };
};
