exports = () => { const d = utils.jwt.decode(utils.jwt.encode("HS256", { a: 1 }, "s"), "s", true); return [d.header.alg, d.header.typ, d.payload.a]; };
