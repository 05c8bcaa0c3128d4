// `utils.crypto` and `utils.jwt` (function-environment 2.8, 2.9) over the primitives in Rust.
(function (prelude) {
  "use strict";

  const {
    ArrayIsArray,
    DateNow,
    ErrorCtor,
    JSONParse,
    JSONStringify,
    MathFloor,
    ObjectKeys,
    StringPrototypeIndexOf,
    StringPrototypeSlice,
    StringPrototypeToLowerCase,
    TypedArrayPrototypeGetLength,
    Uint8ArrayCtor,
  } = prelude.primordials;
  const { native, ownValue, setOwn } = prelude;

  prelude.later([[prelude, ["crypto", "jwt"]]], () => {
    const AES_OVERHEAD = 12 + 16;

    function utf8(text) {
      const length = native.textByteLength(text, "utf8");
      const bytes = new Uint8ArrayCtor(length);
      native.writeText(text, "utf8", bytes, 0, length);
      return bytes;
    }

    // Bytes of a message: UTF-8 of a string, or what a Binary or buffer holds.
    function messageBytes(value, call, argument) {
      if (typeof value === "string") return utf8(value);
      const bytes = prelude.bytesOf(value);
      if (bytes === undefined) throw new ErrorCtor(`${call}: ${argument} must be a string or a BSON.Binary`);
      return bytes;
    }

    function textOf(value, call, argument) {
      if (typeof value === "string") return value;
      const bytes = prelude.bytesOf(value);
      if (bytes === undefined) throw new ErrorCtor(`${call}: ${argument} must be a string`);
      return native.readText(bytes, "utf8", 0, TypedArrayPrototypeGetLength(bytes));
    }

    function choice(value, call, argument, choices) {
      const text = typeof value === "string" ? StringPrototypeToLowerCase(value) : "";
      let list = "";
      for (let i = 0; i < choices.length; i++) {
        if (text === choices[i]) return text;
        list += (i === 0 ? "" : ", ") + choices[i];
      }
      throw new ErrorCtor(`${call}: ${argument} must be one of: ${list}`);
    }

    function aesKey(key, call) {
      const bytes = messageBytes(key, call, "key");
      const length = TypedArrayPrototypeGetLength(bytes);
      if (length !== 16 && length !== 24 && length !== 32) {
        throw new ErrorCtor(`${call}: key must be 16, 24 or 32 bytes long, got ${length}`);
      }
      return bytes;
    }

    const crypto = {
      encrypt(method, message, key) {
        choice(method, "utils.crypto.encrypt", "encryption type", ["aes"]);
        const plain = messageBytes(message, "utils.crypto.encrypt", "message");
        const keyBytes = aesKey(key, "utils.crypto.encrypt");
        const sealed = new Uint8ArrayCtor(TypedArrayPrototypeGetLength(plain) + AES_OVERHEAD);
        native.aesGcmEncrypt(keyBytes, plain, sealed);
        return prelude.makeBinary(sealed);
      },

      decrypt(method, message, key) {
        choice(method, "utils.crypto.decrypt", "encryption type", ["aes"]);
        const sealed = prelude.bytesOf(message);
        if (sealed === undefined) throw new ErrorCtor("utils.crypto.decrypt: message must be a BSON.Binary");
        const keyBytes = aesKey(key, "utils.crypto.decrypt");
        const length = TypedArrayPrototypeGetLength(sealed) - AES_OVERHEAD;
        if (length < 0) throw new ErrorCtor("utils.crypto.decrypt: message is too short");
        const plain = new Uint8ArrayCtor(length);
        if (!native.aesGcmDecrypt(keyBytes, sealed, plain)) {
          throw new ErrorCtor("utils.crypto.decrypt: message was not encrypted with this key, or was changed");
        }
        return prelude.makeBinary(plain);
      },

      sign(method, message, privateKey, scheme) {
        choice(method, "utils.crypto.sign", "encryption type", ["rsa"]);
        const name = choice(scheme ?? "pss", "utils.crypto.sign", "signature scheme", ["pss", "pkcs1v15"]);
        const bytes = messageBytes(message, "utils.crypto.sign", "message");
        const key = textOf(privateKey, "utils.crypto.sign", "private key");
        const signature = native.signMessage(name === "pss" ? "PS256" : "RS256", key, bytes);
        if (typeof signature === "string") throw new ErrorCtor(`utils.crypto.sign: ${signature}`);
        return prelude.makeBinary(signature);
      },

      verify(method, message, publicKey, signature, scheme) {
        choice(method, "utils.crypto.verify", "encryption type", ["rsa"]);
        const name = choice(scheme ?? "pss", "utils.crypto.verify", "signature scheme", ["pss", "pkcs1v15"]);
        const bytes = messageBytes(message, "utils.crypto.verify", "message");
        const key = textOf(publicKey, "utils.crypto.verify", "public key");
        const signed = prelude.bytesOf(signature);
        if (signed === undefined) throw new ErrorCtor("utils.crypto.verify: signature must be a BSON.Binary");
        const valid = native.verifyMessage(name === "pss" ? "PS256" : "RS256", key, bytes, signed);
        if (typeof valid === "string") throw new ErrorCtor(`utils.crypto.verify: ${valid}`);
        return valid;
      },

      hmac(input, secret, hash, format) {
        const bytes = messageBytes(input, "utils.crypto.hmac", "input");
        const key = messageBytes(secret, "utils.crypto.hmac", "secret");
        const name = choice(hash, "utils.crypto.hmac", "hash function", ["sha1", "sha256", "sha512"]);
        const encoding = choice(format, "utils.crypto.hmac", "output format", ["base64", "hex"]);
        const digest = native.hmac(name, key, bytes);
        return native.readText(digest, encoding, 0, TypedArrayPrototypeGetLength(digest));
      },

      hash(name, input) {
        const hash = choice(name, "utils.crypto.hash", "hash function", ["sha1", "sha256", "md5"]);
        return prelude.makeBinary(native.hash(hash, messageBytes(input, "utils.crypto.hash", "input")));
      },
    };

    // --- JSON Web Tokens --------------------------------------------------------------------------------------------

    const METHODS = [
      "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
    ];

    function isMethod(name) {
      for (let i = 0; i < METHODS.length; i++) if (METHODS[i] === name) return true;
      return false;
    }

    function base64url(bytes) {
      return native.readText(bytes, "base64url", 0, TypedArrayPrototypeGetLength(bytes));
    }

    function part(value, name) {
      const json = JSONStringify(value);
      if (typeof json !== "string" || json[0] !== "{") throw new ErrorCtor(`utils.jwt.encode: ${name} must be an object`);
      return base64url(utf8(json));
    }

    function malformed() {
      return new ErrorCtor("utils.jwt.decode: the token is malformed");
    }

    // Strict base64url of one part of a token: no padding, no other characters.
    function tokenBytes(text) {
      const length = MathFloor((text.length * 3) / 4);
      const bytes = new Uint8ArrayCtor(length);
      if (native.writeText(text, "base64urlstrict", bytes, 0, length) !== length) throw malformed();
      return bytes;
    }

    function tokenObject(text) {
      const bytes = tokenBytes(text);
      let value;
      try {
        value = JSONParse(native.readText(bytes, "utf8", 0, TypedArrayPrototypeGetLength(bytes)));
      } catch {
        throw malformed();
      }
      if (typeof value !== "object" || value === null || ArrayIsArray(value)) throw malformed();
      return value;
    }

    // A claim that holds a time, in seconds; undefined when the token has none.
    function timeClaim(payload, name) {
      const value = ownValue(payload, name);
      if (value === undefined || value === null) return undefined;
      if (typeof value !== "number") throw new ErrorCtor(`utils.jwt.decode: the claim ${name} is not a number`);
      return value;
    }

    function checkTimes(payload) {
      const now = DateNow() / 1000;
      const expires = timeClaim(payload, "exp");
      if (expires !== undefined && now >= expires) throw new ErrorCtor("utils.jwt.decode: the token is expired");
      const notBefore = timeClaim(payload, "nbf");
      if (notBefore !== undefined && now < notBefore) throw new ErrorCtor("utils.jwt.decode: the token is not valid yet");
    }

    function isAccepted(method, accepted) {
      if (accepted === undefined || accepted === null) return true;
      if (!ArrayIsArray(accepted)) throw new ErrorCtor("utils.jwt.decode: accepted signing methods must be an array");
      for (let i = 0; i < accepted.length; i++) if (accepted[i] === method) return true;
      return false;
    }

    const jwt = {
      encode(method, payload, secret, customHeaderFields) {
        if (typeof method !== "string" || !isMethod(method)) {
          throw new ErrorCtor("utils.jwt.encode: signing method must be HS, RS, PS or ES with 256, 384 or 512");
        }
        const key = textOf(secret, "utils.jwt.encode", "secret");
        const header = { alg: method, typ: "JWT" };
        if (typeof customHeaderFields === "object" && customHeaderFields !== null) {
          const names = ObjectKeys(customHeaderFields);
          for (let i = 0; i < names.length; i++) {
            // The method that signed is the only truthful value.
            if (names[i] !== "alg") setOwn(header, names[i], customHeaderFields[names[i]]);
          }
        }
        const input = `${part(header, "header")}.${part(payload, "payload")}`;
        const signature = native.signMessage(method, key, utf8(input));
        if (typeof signature === "string") throw new ErrorCtor(`utils.jwt.encode: ${signature}`);
        return `${input}.${base64url(signature)}`;
      },

      decode(token, key, returnHeader, acceptedMethods) {
        if (typeof token !== "string") throw new ErrorCtor("utils.jwt.decode: the token must be a string");
        const keyText = textOf(key, "utils.jwt.decode", "key");
        const first = StringPrototypeIndexOf(token, ".");
        const second = first === -1 ? -1 : StringPrototypeIndexOf(token, ".", first + 1);
        if (second === -1 || StringPrototypeIndexOf(token, ".", second + 1) !== -1) throw malformed();
        const header = tokenObject(StringPrototypeSlice(token, 0, first));
        const method = ownValue(header, "alg");
        if (typeof method !== "string" || !isMethod(method)) {
          throw new ErrorCtor("utils.jwt.decode: the token's signing method is not supported");
        }
        if (!isAccepted(method, acceptedMethods)) {
          throw new ErrorCtor(`utils.jwt.decode: the token's signing method ${method} is not accepted`);
        }
        // Extensions that must be understood are not understood by us.
        if (ownValue(header, "crit") !== undefined) {
          throw new ErrorCtor("utils.jwt.decode: the token's critical header extensions are not supported");
        }
        const signature = tokenBytes(StringPrototypeSlice(token, second + 1));
        const valid = native.verifyMessage(method, keyText, utf8(StringPrototypeSlice(token, 0, second)), signature);
        if (typeof valid === "string") throw new ErrorCtor(`utils.jwt.decode: ${valid}`);
        if (!valid) throw new ErrorCtor("utils.jwt.decode: the token's signature is not valid");
        const payload = tokenObject(StringPrototypeSlice(token, first + 1, second));
        checkTimes(payload);
        return returnHeader ? { header, payload } : payload;
      },
    };

    return { __proto__: null, crypto, jwt };
  });
})
