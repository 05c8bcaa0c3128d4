exports = () => ({
    int: 5,
    long: BSON.Long.fromString("9007199254740993"),
    double: 1.5,
    decimal: BSON.Decimal128.fromString("1.20"),
    date: new Date(0),
    id: BSON.ObjectId("5d505646cf6d4fe581014ab2"),
    binary: BSON.Binary.fromHex("0aff", 0),
    nothing: null,
    list: [1, "two"],
});
