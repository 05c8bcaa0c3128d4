// Attacks 37, 44 to 48 and 64: our code works after user code changed the built-ins it once used.
exports = async function () {
  const poison = () => { throw new Error("poisoned"); };
  const { stringify } = JSON;
  same("before", Buffer.from("aGk=", "base64").toString(), "hi");
  const checks = () => {
    const id = BSON.ObjectId("5e58667d902d38559c802b13");
    return [
      id.toString(), `${BSON.Long(600206158, 342)}`, BSON.Binary.fromHex("6869").text(), BSON.Decimal128("0.10").toString(),
      Buffer.from("aGk=", "base64").toString(), Buffer.concat([Buffer.from("a"), Buffer.from("b")]).toString("hex"),
      Buffer.from("hello").slice(1, 3).toString(), Buffer.from("hello").indexOf("l"), Buffer.from([1, 2]).readUInt16BE(0),
      new URL("http://h/?a=1").searchParams.get("a"), new URLSearchParams("a=1&b=2").toString(),
      new TextDecoder().decode(new TextEncoder().encode("x")), atob(btoa("x")),
      utils.crypto.hash("md5", "").toHex(), utils.jwt.decode(utils.jwt.encode("HS256", { a: 1 }, "s"), "s").a,
      EJSON.parse('{"a":{"$numberInt":"5"}}').a, EJSON.stringify({ a: 1 }),
    ];
  };
  const expected = stringify(checks());
  // Found before anything is poisoned: the loops below may use nothing but the language.
  const targets = [
    [Array.prototype, ["push", "map", "slice", "join", "indexOf", "concat", "forEach", "sort", Symbol.iterator]],
    [String.prototype, ["slice", "indexOf", "toLowerCase", "charCodeAt", "padStart", "replace", "split", Symbol.iterator]],
    [Function.prototype, ["call", "apply", "bind"]],
    [RegExp.prototype, ["exec", "test"]],
    [Number.prototype, ["toString"]],
    [BigInt.prototype, ["toString"]],
    [Object.getPrototypeOf(Uint8Array.prototype), ["set", "subarray", "slice", "fill", "indexOf", Symbol.iterator]],
    [Map.prototype, ["get", "set"]],
    [Promise.prototype, ["then", "catch"]],
    [DataView.prototype, ["getUint8"]],
    [Reflect, ["apply", "ownKeys", "construct", "defineProperty"]],
    [Object, ["keys", "create", "defineProperty", "assign", "getOwnPropertyDescriptor", "setPrototypeOf", "entries"]],
    [JSON, ["parse", "stringify"]],
    [Number, ["parseInt", "isInteger"]],
    [Math, ["min", "floor", "trunc"]],
    [Array, ["isArray", "from"]],
    [globalThis, ["Object", "Array", "String", "Number", "BigInt", "Uint8Array", "Map", "Error", "TypeError", "RangeError", "Date", "Reflect", "JSON", "Math", "Symbol"]],
  ];
  const inherited = ["get", "set", "value", "enumerable", "configurable", "writable", "relaxed", "t", "i", "exp", "nbf", "crit", "alg", "code", "then"];
  const root = Object.prototype;
  root.__defineGetter__(5, poison);
  for (let i = 0; i < targets.length; i++) {
    const names = targets[i][1];
    for (let j = 0; j < names.length; j++) targets[i][0][names[j]] = poison;
  }
  for (let i = 0; i < inherited.length; i++) root[inherited[i]] = poison;
  let result;
  try {
    result = checks();
  } catch (error) {
    result = [`threw ${error.message}`];
  }
  for (let i = 0; i < inherited.length; i++) delete root[inherited[i]];
  delete root[5];
  const text = stringify(result);
  return text === expected ? failures : [`polluted: ${text} instead of ${expected}`];
};
