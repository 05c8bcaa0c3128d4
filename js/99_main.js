// Defines the globals that user code sees and takes away what it must not (function-environment 2.1).
(function (prelude) {
  "use strict";

  const { globalThis: global, ObjectDefineProperty, ReflectConstruct, ReflectGetOwnPropertyDescriptor,
    ReflectOwnKeys, TypeErrorCtor,
    RegExpPrototypeGetDotAll, RegExpPrototypeGetIgnoreCase, RegExpPrototypeGetMultiline, RegExpPrototypeGetUnicode,
  } = prelude.primordials;
  const { native } = prelude;

  // Resizable buffers get their memory past the isolate's account, so their largest size is counted beforehand.
  const PlainArrayBuffer = global.ArrayBuffer;
  const { prototype: bufferPrototype } = PlainArrayBuffer;
  const ArrayBuffer = function ArrayBuffer(length, options) {
    if (new.target === undefined) throw new TypeErrorCtor("Constructor ArrayBuffer requires 'new'");
    let checked = options;
    if (typeof options === "object" && options !== null) {
      // Read once: a getter must not answer differently the second time.
      const maximum = options.maxByteLength;
      checked = { __proto__: null, maxByteLength: maximum };
      if (maximum !== undefined) {
        const bytes = +maximum;
        native.reserveResizable(bytes);
        checked.maxByteLength = bytes;
      }
    }
    return ReflectConstruct(PlainArrayBuffer, [length, checked], new.target);
  };
  for (const key of ReflectOwnKeys(PlainArrayBuffer)) {
    ObjectDefineProperty(ArrayBuffer, key, ReflectGetOwnPropertyDescriptor(PlainArrayBuffer, key));
  }
  ObjectDefineProperty(bufferPrototype, "constructor", {
    __proto__: null, value: ArrayBuffer, writable: true, enumerable: false, configurable: true,
  });

  const define = (name, value) => {
    ObjectDefineProperty(global, name, { __proto__: null, value, writable: true, enumerable: false, configurable: true });
  };
  define("global", global);
  define("ArrayBuffer", ArrayBuffer);
  for (const name of ReflectOwnKeys(prelude.globals)) define(name, prelude.globals[name]);

  native.registerEntry("materializeCursor", (handle) => prelude.materializeCursor(handle));

  // The letters BSON knows; `g`, `y` and `d` say how a script uses an expression, not what it matches.
  native.registerEntry("regExpOptions", (expression) =>
    (RegExpPrototypeGetIgnoreCase(expression) ? "i" : "") + (RegExpPrototypeGetMultiline(expression) ? "m" : "") +
    (RegExpPrototypeGetDotAll(expression) ? "s" : "") + (RegExpPrototypeGetUnicode(expression) ? "u" : ""));

  // What no file took while it loaded is garbage from here on, and not in the snapshot.
  delete prelude.primordials;
})
