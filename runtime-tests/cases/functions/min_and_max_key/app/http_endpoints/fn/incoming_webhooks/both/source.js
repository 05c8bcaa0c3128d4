exports = () => [BSON.MaxKey, BSON.MinKey, BSON.MaxKey()];
