// function-environment 2.1 and 2.5, FN-75, FN-76, FN-85: EJSON, timers, process and the other plain globals.
exports = async function () {
  const parsed = EJSON.parse('{"a":{"$numberLong":"42"},"d":{"$date":{"$numberLong":"0"}},"p":1}');
  same("FN-75", [parsed.a === 42, parsed.d instanceof Date, parsed.p === 1], [true, true, true]);
  same(
    "FN-76",
    EJSON.stringify({ d: new Date(0), id: BSON.ObjectId("5e58667d902d38559c802b13"), f: 1.5 }),
    '{"d":{"$date":{"$numberLong":"0"}},"id":{"$oid":"5e58667d902d38559c802b13"},"f":{"$numberDouble":"1.5"}}',
  );
  same("plain JSON", EJSON.parse('{"a":[1,2.5,null,true,"x"]}'), { a: [1, 2.5, null, true, "x"] });
  for (const text of ["", "{", "{'a':1}", "[1,]", "nul", '{"a":1}x', undefined]) fails(`EJSON.parse(${text})`, () => EJSON.parse(text));
  same("integers", EJSON.stringify([5, 2147483648, -0, NaN, Infinity]), '[{"$numberInt":"5"},{"$numberLong":"2147483648"},{"$numberDouble":"-0.0"},{"$numberDouble":"NaN"},{"$numberDouble":"Infinity"}]');
  same("relaxed", EJSON.stringify({ a: 1, d: new Date(0) }, { relaxed: true }), '{"a":1,"d":{"$date":"1970-01-01T00:00:00Z"}}');
  same("indentation", EJSON.stringify({ a: "x" }, null, 2), '{\n  "a": "x"\n}');
  same("replacer", EJSON.stringify({ a: "x", b: "y" }, ["a"]), '{"a":"x"}');
  same("serialize", EJSON.serialize({ a: 1 }), { a: { $numberInt: "1" } });
  same("deserialize", EJSON.deserialize({ a: { $oid: "5e58667d902d38559c802b13" } }).a instanceof BSON.ObjectId, true);
  same("type memory", EJSON.stringify(EJSON.parse('{"a":{"$numberLong":"5"},"b":{"$numberDouble":"1.0"},"c":{"$numberInt":"1"}}')), '{"a":{"$numberLong":"5"},"b":{"$numberDouble":"1.0"},"c":{"$numberInt":"1"}}');

  same("FN-85 process.env", [process.env, process.env.PATH, process.env.HOME], [{}, undefined, undefined]);
  same("process", [process.version, process.versions.node, process.argv, process.cwd(), typeof process.pid], ["v10.18.1", "10.18.1", [], "/", "number"]);
  const start = process.hrtime();
  same("hrtime", [process.hrtime(start)[0], typeof process.hrtime.bigint(), process.hrtime.bigint() >= 0n], [0, "bigint", true]);
  fails("process.exit", () => process.exit(1));
  fails("process.binding", () => process.binding("fs"));

  const order = [];
  const done = new Promise((resolve) => setTimeout(resolve, 40));
  setTimeout((x, y) => order.push(x + y), 10, "time", "out");
  setImmediate((x) => order.push(x), "immediate");
  queueMicrotask(() => order.push("microtask"));
  process.nextTick((x) => order.push(x), "tick");
  clearTimeout(setTimeout(() => order.push("never"), 1));
  clearTimeout(+setTimeout(() => order.push("never"), 1));
  clearImmediate(setImmediate(() => order.push("never")));
  let ticks = 0;
  const interval = setInterval(() => { if (++ticks === 2) clearInterval(interval); }, 2);
  for (const value of [undefined, null, {}, -1, 1e9, "x", NaN]) clearTimeout(value);
  fails("ATK-64 setTimeout of a text", () => setTimeout("order.push(1)", 0), "callback");
  same("timer objects", [setTimeout(() => {}, 1).unref().ref().hasRef(), typeof +setTimeout(() => {}, 1)], [true, "number"]);
  await done;
  same("order", [order, ticks], [["microtask", "tick", "immediate", "timeout"], 2]);

  for (const name of ["fetch", "Headers", "Request", "Response", "window", "self", "document", "XMLHttpRequest", "WebSocket", "Deno", "__bootstrap", "WebAssembly", "SharedArrayBuffer", "module", "ObjectId", "ISODate", "NumberInt", "db", "prelude", "native"]) {
    same(`${name} is not there`, typeof globalThis[name], "undefined");
  }
  for (const name of ["BSON", "EJSON", "JSON", "utils", "console", "Buffer", "process", "setTimeout", "clearTimeout", "setInterval", "clearInterval", "setImmediate", "clearImmediate", "queueMicrotask", "URL", "URLSearchParams", "TextEncoder", "TextDecoder", "atob", "btoa", "HTTPResponse"]) {
    const descriptor = Object.getOwnPropertyDescriptor(globalThis, name);
    same(`${name} stays writable and configurable`, descriptor && [descriptor.writable, descriptor.configurable, descriptor.enumerable], [true, true, false]);
  }
  return failures;
};
