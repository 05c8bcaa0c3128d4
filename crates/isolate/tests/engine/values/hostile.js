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
  for (const [prototype, names] of [
    [Array.prototype, ["push", "map", "slice", "join", "indexOf", "concat", "forEach", "sort", Symbol.iterator]],
    [String.prototype, ["slice", "indexOf", "toLowerCase", "charCodeAt", "padStart", "replace", "split", Symbol.iterator]],
    [Function.prototype, ["call", "apply", "bind"]],
    [RegExp.prototype, ["exec", "test"]],
    [Number.prototype, ["toString"]], [BigInt.prototype, ["toString"]],
    [Object.getPrototypeOf(Uint8Array.prototype), ["set", "subarray", "slice", "fill", "indexOf", Symbol.iterator]],
    [Map.prototype, ["get", "set"]], [Promise.prototype, ["then", "catch"]], [DataView.prototype, ["getUint8"]],
  ]) for (const name of names) prototype[name] = poison;
  for (const [holder, names] of [
    [Reflect, ["apply", "ownKeys", "construct", "defineProperty"]],
    [Object, ["keys", "create", "defineProperty", "assign", "getOwnPropertyDescriptor", "setPrototypeOf", "entries"]],
    [JSON, ["parse", "stringify"]], [Number, ["parseInt", "isInteger"]], [Math, ["min", "floor", "trunc"]], [Array, ["isArray", "from"]],
  ]) for (const name of names) holder[name] = poison;
  for (const name of ["get", "set", "value", "enumerable", "configurable", "writable", "relaxed", "t", "i", "exp", "nbf", "crit", "alg", "code", "then"]) {
    Object.prototype[name] = poison;
  }
  Object.prototype.__defineGetter__(5, poison);
  for (const name of ["Object", "Array", "String", "Number", "BigInt", "Uint8Array", "Map", "Error", "TypeError", "RangeError", "Date", "Reflect", "JSON", "Math", "Symbol"]) globalThis[name] = poison;
  let result;
  try {
    result = checks();
  } catch (error) {
    result = [`threw ${error.message}`];
  }
  const realKeys = ["get", "set", "value", "enumerable", "configurable", "writable", "relaxed", "t", "i", "exp", "nbf", "crit", "alg", "code", "then", "5"];
  for (let i = 0; i < realKeys.length; i++) delete ({}).__proto__[realKeys[i]];
  const text = stringify(result);
  return text === expected ? failures : [`polluted: ${text} instead of ${expected}`];
};
