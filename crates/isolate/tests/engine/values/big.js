// Inputs that are too big, or that change while they are read.
exports = function () {
  const big = "x".repeat(3e7);
  same("utf8", Buffer.from(big).length, 3e7);
  same("base64", Buffer.from(big, "base64").length, 22500000);
  same("hash", utils.crypto.hash("md5", big).toHex().length, 32);
  same("refused id", (() => { try { BSON.ObjectId(big); } catch (error) { return error.message.length < 200; } })(), true);
  fails("buffer of 2 GB", () => Buffer.alloc(2 ** 31 - 1));
  fails("buffer of 4 GB", () => Buffer.alloc(2 ** 32));
  fails("text beyond V8's limit", () => Buffer.alloc(2e8).toString("hex") + Buffer.alloc(2e8).toString("hex"));
  fails("texts beyond the heap", () => { const kept = []; for (let i = 0; i < 20; i++) kept.push(Buffer.alloc(3e7, "x").toString("latin1")); return kept.length; });
  fails("decimal", () => BSON.Decimal128(big));
  fails("long", () => BSON.Long.fromString("1".repeat(1e6)));

  const memory = new ArrayBuffer(100, { maxByteLength: 200 });
  const bytes = new Uint8Array(memory);
  const shrinking = { toString() { memory.resize(10); return "z".repeat(100); } };
  same("shrunk while the text is made", (() => { try { return Buffer.prototype.write.call(bytes, `${shrinking}`); } catch (error) { return error.name; } })() !== undefined, true);
  memory.resize(0);
  same("of no length", [Buffer.from(bytes).length, BSON.Binary(bytes).length(), new TextDecoder().decode(bytes)], [0, 0, ""]);
  const moved = new Uint8Array(50);
  moved.buffer.transfer();
  same("moved away", [new TextDecoder().decode(moved), utils.crypto.hash("md5", moved).toHex(), new TextEncoder().encodeInto("abc", moved).written], ["", "d41d8cd98f00b204e9800998ecf8427e", 0]);
  const binary = BSON.Binary.fromText("hello");
  binary.buffer.buffer.transfer();
  same("a Binary whose memory was moved", [binary.length(), binary.text(), EJSON.stringify(binary)], [0, "", '{"$binary":{"base64":"","subType":"00"}}']);
  return failures;
};
