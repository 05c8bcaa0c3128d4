exports = () => [Buffer.from("hé").toString("hex"), Buffer.from("aGk=", "base64").toString(), Buffer.concat([Buffer.from("a"), Buffer.alloc(1)]).length, Buffer.isBuffer(new Buffer("x"))];
