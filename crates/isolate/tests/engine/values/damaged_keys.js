// A pseudo-random walk over damaged DER, and what counts as PEM.
exports = function (keys) {
  let state = 12345;
  const random = (below) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  const bodyOf = (pem) => Buffer.from(pem.replace(/-----[^-]*-----/g, ""), "base64");
  const methods = ["RS256", "PS512", "ES256", "ES384", "ES512"];
  let worked = 0;
  for (const name of ["rsaPkcs1", "rsaPkcs8", "rsaPublicPkcs1", "rsaPublic", "p256", "p384Sec1", "p521", "p256Public", "p521Public"]) {
    const label = /-----BEGIN ([^-]*)-----/.exec(keys[name])[1];
    for (let round = 0; round < 150; round++) {
      let der = bodyOf(keys[name]);
      for (let i = 0; i <= random(3); i++) {
        const at = random(der.length);
        const kind = random(3);
        if (kind === 0) der[at] = random(256);
        else if (kind === 1) der = der.slice(0, Math.max(at, 1));
        else der = Buffer.concat([der.slice(0, at), Buffer.from([random(256)]), der.slice(at)]);
      }
      const damaged = `-----BEGIN ${label}-----\n${der.toString("base64")}\n-----END ${label}-----`;
      for (const method of methods) {
        try {
          utils.jwt.encode(method, {}, damaged);
          worked++;
        } catch (error) {
          if (!(error instanceof Error)) failures.push(`${name} ${method}: threw no Error`);
        }
        try {
          utils.jwt.decode(keys.tokens[method], damaged);
          worked++;
        } catch (error) {
          if (!(error instanceof Error)) failures.push(`${name} ${method}: threw no Error`);
        }
      }
    }
  }
  same("most damaged keys are useless", worked < 1000, true);

  const body = bodyOf(keys.rsaPkcs8).toString("base64");
  const sign = (pem) => utils.crypto.sign("rsa", "m", pem).length();
  same("noise around a key", sign(`noise -----BEGIN PRIVATE KEY-----${body}-----END PRIVATE KEY----- noise`), 256);
  for (const pem of [
    `-----BEGIN PRIVATE KEY-----${body}-----END OTHER KEY-----`, `-----BEGIN PRIVATE KEY-----${body}`, body,
    `-----BEGIN PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n${body}\n-----END PRIVATE KEY-----`, "-----BEGIN ", "-----BEGIN -----",
    `-----BEGIN PUBLIC KEY-----${body}-----END PUBLIC KEY-----`,
  ]) fails("not a key", () => sign(pem));
  for (const secret of ["-----BEGIN PUBLIC KEY-----", "x\n-----BEGIN RSA PUBLIC KEY-----", "-----BEGIN CERTIFICATE-----"]) {
    fails("a public key as HMAC secret", () => utils.jwt.decode(utils.jwt.encode("HS256", {}, secret), secret), "public key");
  }
  same("a private key as HMAC secret", utils.jwt.decode(utils.jwt.encode("HS256", {}, keys.p256), keys.p256), {});
  return failures;
};
