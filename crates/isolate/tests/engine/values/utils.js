// function-environment 2.8 and 2.9, FN-77 to FN-80: utils.crypto and utils.jwt. `keys` is signing_keys.json; its tokens
// and signatures were made by Node.
exports = function (keys) {
  const { crypto, jwt } = utils;
  same("FN-77 hmac", crypto.hmac("hello!", "super-secret", "sha256", "base64"), "SUXd6PRMaTXXgBGaGsIHzaDWgTSa6C3D44lRGrvRak0=");
  same("FN-77 hash", crypto.hash("sha256", "hello!").toBase64(), "zgYJL7lI2f+sfRo3bkBLJrdXW8wR7gWkYV/vT+w6MIs=");
  same(
    "FN-77 decrypt",
    crypto.decrypt("aes", BSON.Binary.fromBase64("WPBuIvJ6Bity43Uh822dW8QlVYVJaFUiDeUjlTiJXzptUuTYIKPlXekBQAJb"), "603082712271C525E087BD999A4E0738").text(),
    "MongoDB is great!",
  );
  same("md5", crypto.hash("md5", "").toHex(), "d41d8cd98f00b204e9800998ecf8427e");
  same("sha1 of a Binary", crypto.hash("sha1", BSON.Binary.fromText("abc")).toHex(), "a9993e364706816aba3e25717850c26c9cd0d89d");
  same("hmac in hex", crypto.hmac("hello!", "super-secret", "sha256", "hex"), Buffer.from("SUXd6PRMaTXXgBGaGsIHzaDWgTSa6C3D44lRGrvRak0=", "base64").toString("hex"));
  same("hmac sha1", crypto.hmac("what do ya want for nothing?", "Jefe", "sha1", "hex"), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
  same("hmac sha512", crypto.hmac("", "", "sha512", "hex").length, 128);

  for (const size of [16, 24, 32]) {
    const key = "k".repeat(size);
    const [one, two] = [crypto.encrypt("aes", "m", key), crypto.encrypt("aes", "m", key)];
    same(`FN-78 ${size}`, [one.toHex() === two.toHex(), one.length(), crypto.decrypt("aes", one, key).text(), crypto.decrypt("aes", two, key).text()], [false, 12 + 1 + 16, "m", "m"]);
    fails("another key", () => crypto.decrypt("aes", one, "x".repeat(size)));
    fails("a changed message", () => crypto.decrypt("aes", BSON.Binary.fromHex("00" + one.toHex().slice(2)), key));
  }
  same("key bytes are UTF-8", crypto.decrypt("aes", crypto.encrypt("aes", "\u20ac", "\u00e9".repeat(8)), "\u00e9".repeat(8)).text(), "\u20ac");
  fails("key of 20", () => crypto.encrypt("aes", "m", "k".repeat(20)), "key must be 16, 24 or 32 bytes");
  fails("short message", () => crypto.decrypt("aes", BSON.Binary.fromHex("00"), "k".repeat(16)));
  fails("unknown cipher", () => crypto.encrypt("des", "m", "k".repeat(16)), "encryption type");
  fails("unknown hash", () => crypto.hash("sha3", "m"), "hash function");
  fails("unknown format", () => crypto.hmac("m", "s", "sha256", "utf8"), "output format");
  fails("unknown scheme", () => crypto.sign("rsa", "m", keys.rsaPkcs1, "raw"), "signature scheme");

  for (const scheme of [undefined, "pss", "pkcs1v15"]) {
    for (const [secret, open] of [[keys.rsaPkcs1, keys.rsaPublicPkcs1], [keys.rsaPkcs8, keys.rsaPublic]]) {
      const signature = crypto.sign("rsa", "message", secret, scheme);
      same(`sign ${scheme}`, [crypto.verify("rsa", "message", open, signature, scheme), crypto.verify("rsa", "other", open, signature, scheme)], [true, false]);
    }
  }
  same("Node's PKCS#1 signature", crypto.sign("rsa", "message", keys.rsaPkcs1, "pkcs1v15").toBase64(), keys.pkcs1v15);
  same("salt of any length", crypto.verify("rsa", "message", keys.rsaPublic, BSON.Binary.fromBase64(keys.pssMaxSalt)), true);
  same("schemes do not mix", crypto.verify("rsa", "message", keys.rsaPublic, BSON.Binary.fromBase64(keys.pkcs1v15)), false);
  same("a signature of no length", crypto.verify("rsa", "message", keys.rsaPublic, BSON.Binary.fromHex("")), false);
  for (const key of ["", "nope", keys.p256, keys.rsaPublic]) fails("not a private RSA key", () => crypto.sign("rsa", "m", key));
  same("a key on one line", crypto.verify("rsa", "message", keys.rsaPublic.replace(/\n/g, " "), BSON.Binary.fromBase64(keys.pkcs1v15), "pkcs1v15"), true);

  same(
    "2.9 known answer",
    jwt.encode("HS512", { sub: "1234567890", name: "Joe Schmoe", iat: 1565721223187 }, "SuperSecret"),
    "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvZSBTY2htb2UiLCJpYXQiOjE1NjU3MjEyMjMxODd9.-QL15ldu2BYuJokNWT6YRiwZQIiIpvq6Kyv-C6qslNdNiUVxo8zqLJZ1iEkNf2yZKMIrQuMCtIC1tzd2H31AxA",
  );
  const token = jwt.encode("HS256", { a: 1 }, "s");
  same("FN-79", jwt.decode(token, "s", true), { header: { alg: "HS256", typ: "JWT" }, payload: { a: 1 } });
  same("payload alone", jwt.decode(token, "s"), { a: 1 });
  same("custom header", jwt.decode(jwt.encode("HS384", {}, "s", { kid: "k", alg: "none" }), "s", true).header, { alg: "HS384", typ: "JWT", kid: "k" });
  fails("FN-80 other secret", () => jwt.decode(token, "other"));
  fails("FN-80 method not accepted", () => jwt.decode(token, "s", false, ["RS256"]), "not accepted");
  same("accepted", jwt.decode(token, "s", false, ["RS256", "HS256"]), { a: 1 });
  fails("nothing accepted", () => jwt.decode(token, "s", false, []));

  const publicKeys = { RS: keys.rsaPublic, PS: keys.rsaPublic, ES256: keys.p256Public, ES384: keys.p384Public, ES512: keys.p521Public };
  const privateKeys = { RS: keys.rsaPkcs8, PS: keys.rsaPkcs8, ES256: keys.p256, ES384: keys.p384, ES512: keys.p521 };
  for (const method of Object.keys(keys.tokens)) {
    const open = publicKeys[method] || publicKeys[method.slice(0, 2)];
    const secret = privateKeys[method] || privateKeys[method.slice(0, 2)];
    same(`Node's ${method} token`, jwt.decode(keys.tokens[method], open), { sub: "42", iat: 1600000000 });
    same(`own ${method} token`, jwt.decode(jwt.encode(method, { a: 1 }, secret), open), { a: 1 });
    fails("payload changed", () => jwt.decode(keys.tokens[method].replace(/\.[^.]*\./, ".e30."), open), "signature is not valid");
    fails("key of another kind", () => jwt.decode(keys.tokens[method], method[0] === "E" ? keys.rsaPublic : keys.p256Public));
    fails("private key to verify", () => jwt.decode(keys.tokens[method], secret));
    fails("HMAC with the public key", () => jwt.decode(jwt.encode("HS256", {}, open), open), "public key");
    fails("HMAC with another public key", () => jwt.decode(jwt.encode("HS256", {}, keys.ed25519Public), ` ${keys.ed25519Public}`));
  }
  same("SEC 1 key", jwt.decode(jwt.encode("ES512", { b: 2 }, keys.p521Sec1), keys.p521Public), { b: 2 });

  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  for (const alg of ["none", "None", "HS1", "", undefined, ["HS256"]]) fails(`alg ${alg}`, () => jwt.decode(`${part({ alg })}.${part({})}.`, "s"));
  for (const text of ["", "a.b", "a.b.c.d", "..", `${token}=`, ` ${token}`, token.slice(0, -2), `${part([])}.e30.`]) fails(`token ${text}`, () => jwt.decode(text, "s"));
  fails("not a token", () => jwt.decode(undefined, "s"));
  const now = Date.now() / 1000;
  fails("expired", () => jwt.decode(jwt.encode("HS256", { exp: now - 1 }, "s"), "s"), "expired");
  fails("not yet valid", () => jwt.decode(jwt.encode("HS256", { nbf: now + 60 }, "s"), "s"), "not valid yet");
  fails("exp of no number", () => jwt.decode(jwt.encode("HS256", { exp: "never" }, "s"), "s"));
  same("in time", jwt.decode(jwt.encode("HS256", { exp: now + 60, nbf: now - 60 }, "s"), "s").exp, now + 60);
  const realNow = Date.now;
  Date.now = () => 0;
  fails("the clock is not the function's", () => jwt.decode(jwt.encode("HS256", { exp: 1 }, "s"), "s"), "expired");
  Date.now = realNow;
  fails("unknown method", () => jwt.encode("HS1", {}, "s"));
  fails("payload of no object", () => jwt.encode("HS256", "text", "s"));
  same("ids in the payload", jwt.decode(jwt.encode("HS256", { id: BSON.ObjectId("5e58667d902d38559c802b13") }, "s"), "s").id, "5e58667d902d38559c802b13");
  return failures;
};
