// function-environment 2.6, FN-61 to FN-73: the BSON classes.
const HEX = "5e58667d902d38559c802b13";

exports = function () {
  const id = BSON.ObjectId(HEX);
  same("FN-61 with and without new", [id.toString(), new BSON.ObjectId(HEX).toString()], [HEX, HEX]);
  same("FN-61 instanceof", [id instanceof BSON.ObjectId, new BSON.ObjectId(HEX) instanceof BSON.ObjectId], [true, true]);
  same("FN-62 no own properties", Object.entries(new BSON.ObjectId()).length, 0);
  same("FN-62 not even hidden ones", Reflect.ownKeys(id), []);
  same("FN-63 tag", Object.prototype.toString.call(new BSON.ObjectId()), "[object ObjectId]");
  const keyed = {};
  keyed[id] = 1;
  same("FN-64 property key", Object.keys(keyed)[0], HEX);
  for (const text of ["xyz", "", HEX.slice(1), HEX + "0", "z".repeat(24), "\u20ac".repeat(12)]) {
    fails(`FN-66 ObjectId(${text})`, () => new BSON.ObjectId(text));
  }
  for (const value of [true, {}, [], Symbol("x"), () => 1]) fails("ObjectId of no id", () => BSON.ObjectId(value));

  same("12 bytes of text", BSON.ObjectId("abcdefghijkl").toHexString(), "6162636465666768696a6b6c");
  same("Buffer of 12", BSON.ObjectId(Buffer.from("abcdefghijkl")).toString(), "6162636465666768696a6b6c");
  same("upper case", BSON.ObjectId(HEX.toUpperCase()).toString(), HEX);
  same("copy", BSON.ObjectId(id).toString(), HEX);
  same("foreign ObjectId", BSON.ObjectId({ toHexString: () => HEX }).toString(), HEX);
  for (const nothing of [undefined, null]) same("generated", String(BSON.ObjectId(nothing)).length, 24);
  same("different each time", BSON.ObjectId().toString() === BSON.ObjectId().toString(), false);
  const now = Date.now();
  same("time of a new id", Math.abs(BSON.ObjectId().getTimestamp().getTime() - now) < 2000, true);
  same("getTimestamp", id.getTimestamp().getTime(), 0x5e58667d * 1000);
  same("equals", [id.equals(HEX.toUpperCase()), id.equals(BSON.ObjectId(HEX)), id.equals(null), id.equals("x"), id.equals(BSON.ObjectId())], [true, true, false, false, false]);
  same("isValid", [HEX, "x", 5, null, id, "abcdefghijkl"].map((x) => BSON.ObjectId.isValid(x)), [true, false, true, false, true, true]);
  same("createFromTime", String(BSON.ObjectId.createFromTime(1)), "000000010000000000000000");
  same("createFromHexString", String(BSON.ObjectId.createFromHexString(HEX)), HEX);
  same("alias", BSON.ObjectID === BSON.ObjectId, true);
  same("JSON", JSON.stringify({ id }), `{"id":"${HEX}"}`);
  same("template", `${id}`, HEX);
  class Mine extends BSON.ObjectId {}
  same("subclass", [new Mine(HEX) instanceof Mine, String(new Mine(HEX))], [true, HEX]);
  BSON.ObjectId.fromDate = () => "extended";
  BSON.ObjectId.prototype.short = function () { return this.toString().slice(0, 4); };
  same("extensible", [BSON.ObjectId.fromDate(), id.short()], ["extended", "5e58"]);

  const double = BSON.Double(1.5);
  same("FN-67", [double.valueOf() === 1.5, double + 1, double.toString(), double === 1.5, double < 2, double.value], [true, 2.5, "1.5", false, true, 1.5]);
  same("FN-68", BSON.Long(600206158, 342).toString(), "1469479021390");
  same("FN-69", [BSON.Int32().valueOf(), BSON.Double().valueOf(), BSON.Long().valueOf()], [0, 0, 0]);
  same("Int32", [BSON.Int32(7) + 1, BSON.Int32("7").value, String(BSON.Int32(-5)), JSON.stringify([BSON.Int32(5)])], [8, 7, "-5", "[5]"]);
  same("Double text", [String(BSON.Double(1)), String(BSON.Double(NaN)), JSON.stringify([BSON.Double(0.5)])], ["1", "NaN", "[0.5]"]);

  const long = BSON.Long;
  same("Long of one number", [String(long(-1)), String(long(5))], ["-1", "5"]);
  same("Long bounds", [String(long.MAX_VALUE), String(long.MIN_VALUE)], ["9223372036854775807", "-9223372036854775808"]);
  same("Long.fromNumber", [String(long.fromNumber(2 ** 53)), String(long.fromNumber(1e30)), String(long.fromNumber(NaN))], ["9007199254740992", "9223372036854775807", "0"]);
  same("Long.fromString", [String(long.fromString("-42")), String(long.fromString("ff", 16)), String(long.fromString("9223372036854775807"))], ["-42", "255", "9223372036854775807"]);
  for (const text of ["", "-", "x", "1.5", "9223372036854775808", "-9223372036854775809"]) fails(`Long.fromString(${text})`, () => long.fromString(text));
  same("Long.fromInt, fromBits", [String(long.fromInt(-7)), String(long.fromBits(-1, 0))], ["-7", "4294967295"]);
  same("Long parts", [long(600206158, 342).low, long(600206158, 342).high, long(-1).high], [600206158, 342, -1]);
  same("Long arithmetic", ["add", "subtract", "multiply", "divide", "modulo"].map((name) => String(long(17)[name](5))), ["22", "12", "85", "3", "2"]);
  same("Long wraps", String(long.MAX_VALUE.add(1)), "-9223372036854775808");
  fails("Long division by zero", () => long(1).divide(0));
  same("Long order", [long(1).compare(2), long(1).equals(1), long(2).greaterThan(long(1)), long(1).lessThan(0)], [-1, true, true, false]);
  same("Long as a number", [long(5) + 1, long(5) < 6, long(5).toNumber(), long(5).toInt(), JSON.stringify([long(5)])], [6, true, 5, 5, "[5]"]);

  const decimal = BSON.Decimal128;
  same("Decimal128", [String(decimal.fromString("0.10")), String(decimal("1.20")), JSON.stringify([decimal("1.20")])], ["0.10", "1.20", '["1.20"]']);
  for (const text of ["", "x", "1.2.3", "1e", ".", "+", "-", "e5", " 1", "1 "]) fails(`Decimal128(${text})`, () => decimal.fromString(text));
  fails("Decimal128 of a huge text", () => decimal.fromString("1".repeat(1e6)));

  const { Binary } = BSON;
  same("FN-71", Binary.fromText("h\u00e9llo").toBase64(), "aMOpbGxv");
  for (const text of ["aGk", "aG k", "aGk=\n", "a===", "aG=k", "!!!!", "-_-_"]) fails(`FN-72 ${text}`, () => Binary.fromBase64(text));
  same("FN-72", Binary.fromBase64("aGk=").text(), "hi");
  same("FN-73", [Binary.fromHex("6869").text(), Binary.fromHex("6869").toHex(), Binary.fromHex("6869=").text(), Binary.fromHex("AbCd").toHex()], ["hi", "6869", "hi", "abcd"]);
  for (const text of ["686", "6g", "zz"]) fails(`fromHex(${text})`, () => Binary.fromHex(text));
  same("Binary text", [String(Binary.fromText("\u20ac")), `${Binary.fromHex("ff41")}`], ["\u20ac", "\ufffdA"]);
  same("Binary parts", [Binary.fromHex("6869", 5).subType, Binary.fromHex("6869").length(), Buffer.isBuffer(Binary.fromHex("6869").buffer)], [5, 2, true]);
  same("Binary JSON", JSON.stringify(Binary.fromHex("6869", 5)), '{"Subtype":5,"Data":"aGk="}');
  const bytes = new Uint8Array([1, 2, 3]);
  const copied = BSON.Binary(bytes);
  bytes[0] = 9;
  same("Binary copies", copied.toHex(), "010203");
  same("Binary empty", [BSON.Binary().text(), Binary.fromText("").length()], ["", 0]);

  same("BSONRegExp", [BSON.BSONRegExp("a", "xi").options, BSON.BSONRegExp("a").pattern, String(BSON.BSONRegExp("^H", "i")), JSON.stringify(BSON.BSONRegExp("^H", "i"))], ["ix", "a", "/^H/i", '{"Pattern":"^H","Options":"i"}']);
  same("keys as values", [String(BSON.MaxKey), `${BSON.MinKey}`, String(BSON.MaxKey()), String(new BSON.MinKey())], ["MaxKey", "MinKey", "MaxKey", "MinKey"]);
  same("keys have no own enumerable properties", [Object.keys(BSON.MaxKey), JSON.stringify({ k: BSON.MinKey })], [[], '{"k":{}}']);
  same("Timestamp", [String(BSON.Timestamp({ t: 1, i: 2 })), String(BSON.Timestamp(2, 1)), BSON.Timestamp(2, 1).t, JSON.stringify(BSON.Timestamp(2, 1))], ["Timestamp(1, 2)", "Timestamp(1, 2)", 1, '{"T":1,"I":2}']);
  same("DBRef", [BSON.DBRef("c", id).collection, BSON.DBRef("c", id).oid === id, BSON.DBRef("c", id, "d").db], ["c", true, "d"]);
  same("Code", [BSON.Code("x").code, BSON.Code("x", { a: 1 }).scope.a], ["x", 1]);
  same("BSONSymbol", String(BSON.BSONSymbol("s")), "s");
  const uuid = "00112233-4455-4677-8899-aabbccddeeff";
  same("UUID", [String(BSON.UUID(uuid)), BSON.UUID(uuid).subType, BSON.UUID() instanceof BSON.Binary, BSON.UUID(uuid).equals(BSON.UUID(uuid.replace(/-/g, "")))], [uuid, 4, true, true]);
  same("UUID is random", [BSON.UUID().toString()[14], BSON.UUID().toString() === BSON.UUID().toString()], ["4", false]);

  for (const name of Object.keys(BSON)) {
    const value = ["ObjectID", "ObjectId", "UUID", "Binary"].includes(name) ? new BSON[name]() : new BSON[name]("1", "1");
    const tag = name === "ObjectID" ? "ObjectId" : name;
    same(`${name} tag`, Object.prototype.toString.call(value), `[object ${tag}]`);
    same(`${name} own keys`, Reflect.ownKeys(value), []);
    same(`${name} constructor`, value.constructor === BSON[name] && value instanceof BSON[name], true);
    const descriptor = Object.getOwnPropertyDescriptor(BSON, name);
    same(`${name} stays writable and configurable`, [descriptor.writable, descriptor.configurable], [true, true]);
  }
  fails("a method of another class", () => BSON.ObjectId.prototype.toString.call(BSON.Long(1)));
  fails("a forged instance", () => BSON.ObjectId.prototype.toString.call(Object.create(BSON.ObjectId.prototype)));
  return failures;
};
