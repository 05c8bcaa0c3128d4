exports = (payload) => {
    if (payload.pin !== 42) throw new Error("wrong pin");
    return payload.name;
};
