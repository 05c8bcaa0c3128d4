exports = async (id) => {
    const notes = context.services.get("mongodb-atlas").db("realm_web").collection("notes");
    return { asSystem: context.runningAsSystem(), user: context.user.id, count: await notes.count({ owner: id }) };
};
