exports = (value) => ({
    id: value.id instanceof BSON.ObjectId && value.id.toHexString(),
    date: value.date instanceof Date && value.date.toISOString(),
    int: typeof value.int,
    text: value.text,
});
