// Defines the globals that user code sees and takes away what it must not (function-environment 2.1).
(function (prelude) {
  "use strict";

  const { globalThis: global, ObjectDefineProperty, ReflectOwnKeys,
    RegExpPrototypeGetDotAll, RegExpPrototypeGetIgnoreCase, RegExpPrototypeGetMultiline, RegExpPrototypeGetUnicode,
  } = prelude.primordials;
  const { native } = prelude;

  const define = (name, value) => {
    ObjectDefineProperty(global, name, { __proto__: null, value, writable: true, enumerable: false, configurable: true });
  };
  define("global", global);
  for (const name of ReflectOwnKeys(prelude.globals)) define(name, prelude.globals[name]);

  if (prelude.materializeCursor !== undefined) native.registerEntry("materializeCursor", prelude.materializeCursor);

  // The letters BSON knows; `g`, `y` and `d` say how a script uses an expression, not what it matches.
  native.registerEntry("regExpOptions", (expression) =>
    (RegExpPrototypeGetIgnoreCase(expression) ? "i" : "") + (RegExpPrototypeGetMultiline(expression) ? "m" : "") +
    (RegExpPrototypeGetDotAll(expression) ? "s" : "") + (RegExpPrototypeGetUnicode(expression) ? "u" : ""));

  // What no file took while it loaded is garbage from here on, and not in the snapshot.
  delete prelude.primordials;
})
