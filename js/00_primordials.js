// Built-ins captured before user code can change them.
//
// Names: <Type><Static>, <Type>Prototype<Method> (receiver first), <Type>PrototypeGet<Accessor> (receiver first),
// Symbol keys as <Type>Prototype<SymbolName>, constructors as <Type>Ctor. 99_main.js deletes the whole object from
// `prelude`, so take what a file needs while the file loads: what nobody took costs nothing in a run.
(function (prelude) {
  "use strict";

  const { apply, construct, defineProperty, getOwnPropertyDescriptor, ownKeys } = Reflect;
  const { bind, call } = Function.prototype;
  const uncurry = bind.bind(call);
  const primordials = { __proto__: null };

  const capitalise = (text) => text[0].toUpperCase() + text.slice(1);
  // `Symbol.iterator` has the description "Symbol.iterator" and becomes "SymbolIterator".
  const nameOf = (key) => (typeof key === "symbol" ? `Symbol${capitalise(key.description.slice(7))}` : capitalise(key));

  const copy = (source, prefix, asMethod) => {
    for (const key of ownKeys(source)) {
      if (key === "constructor" || key === "prototype") continue;
      const descriptor = getOwnPropertyDescriptor(source, key);
      const name = nameOf(key);
      if (descriptor.get !== undefined) {
        primordials[`${prefix}Get${name}`] = uncurry(descriptor.get);
      } else if (typeof descriptor.value === "function") {
        primordials[`${prefix}${name}`] = asMethod ? uncurry(descriptor.value) : bind.apply(descriptor.value, [source]);
      } else {
        primordials[`${prefix}${name}`] = descriptor.value;
      }
    }
  };

  for (const name of ["JSON", "Math", "Reflect"]) copy(globalThis[name], name, false);

  const constructors = { __proto__: null };
  for (const name of [
    "Array", "ArrayBuffer", "BigInt", "BigInt64Array", "BigUint64Array", "Boolean", "DataView", "Date", "Error",
    "EvalError", "Float32Array", "Float64Array", "Function", "Int16Array", "Int32Array", "Int8Array", "Map", "Number",
    "Object", "Promise", "Proxy", "RangeError", "ReferenceError", "RegExp", "Set", "String", "Symbol", "SyntaxError",
    "TypeError", "URIError", "Uint16Array", "Uint32Array", "Uint8Array", "Uint8ClampedArray", "WeakMap", "WeakSet",
  ]) {
    constructors[name] = globalThis[name];
  }
  constructors.TypedArray = Reflect.getPrototypeOf(Uint8Array);
  constructors.AsyncFunction = Reflect.getPrototypeOf(async function () {}).constructor;
  for (const name of ownKeys(constructors)) {
    const constructor = constructors[name];
    primordials[`${name}Ctor`] = constructor;
    copy(constructor, name, false);
    if (constructor.prototype) {
      primordials[`${name}Prototype`] = constructor.prototype;
      copy(constructor.prototype, `${name}Prototype`, true);
    }
  }
  for (const [name, iterable] of [["Array", []], ["Map", new Map()], ["Set", new Set()], ["String", ""]]) {
    primordials[`${name}IteratorPrototypeNext`] = uncurry(Reflect.getPrototypeOf(iterable[Symbol.iterator]()).next);
  }
  const asyncIteratorPrototype = Reflect.getPrototypeOf(Reflect.getPrototypeOf(async function* () {}.prototype));
  primordials.AsyncIteratorPrototype = asyncIteratorPrototype;

  for (const name of ["decodeURI", "decodeURIComponent", "encodeURI", "encodeURIComponent", "escape", "unescape",
    "isFinite", "isNaN", "parseFloat", "parseInt", "queueMicrotask"]) {
    if (globalThis[name] !== undefined) primordials[name] = globalThis[name];
  }
  primordials.globalThis = globalThis;
  primordials.uncurryThis = uncurry;
  primordials.applyFunction = apply;
  primordials.constructWith = construct;
  primordials.defineProperty = defineProperty;
  prelude.primordials = primordials;

  // The own value of a string-keyed property of an object, or undefined. Never looks at prototypes; runs an own getter.
  const hasOwn = primordials.ObjectHasOwn;
  prelude.ownValue = (object, key) =>
    (typeof object === "object" || typeof object === "function") && object !== null && hasOwn(object, key)
      ? object[key]
      : undefined;

  // A method or accessor that users see: writable, configurable, not enumerable, and without `prototype`.
  prelude.defineMethods = (target, methods) => {
    const keys = ownKeys(methods);
    for (let i = 0; i < keys.length; i++) {
      const descriptor = getOwnPropertyDescriptor(methods, keys[i]);
      descriptor.enumerable = false;
      defineProperty(target, keys[i], { __proto__: null, ...descriptor });
    }
    return target;
  };

  // Gives an object its `Symbol.toStringTag`, as built-ins have theirs but replaceable.
  const { toStringTag } = Symbol;
  prelude.setTag = (target, tag) => {
    defineProperty(target, toStringTag, { __proto__: null, value: tag, writable: true, configurable: true });
  };

  // An own enumerable property, whatever setters user code put on prototypes.
  prelude.setOwn = (target, key, value) => {
    defineProperty(target, key, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
    return target;
  };

  // What 99_main.js defines as globals.
  prelude.globals = { __proto__: null };
})
