// The BSON classes (function-environment 2.6) and the global `BSON`.
//
// An instance carries a brand only the natives can set and read; it has no own property at all. Every class is an
// ordinary function, so that it can be called with and without `new` and be subclassed.
(function (prelude) {
  "use strict";

  const {
    ArrayBufferIsView,
    ArrayBufferPrototypeGetByteLength,
    ArrayIsArray,
    BigIntAsIntN,
    BigIntAsUintN,
    BigIntCtor,
    BigIntPrototypeToString,
    DataViewPrototypeGetBuffer,
    DataViewPrototypeGetByteLength,
    DataViewPrototypeGetByteOffset,
    DateCtor,
    DateNow,
    ErrorCtor,
    FunctionPrototypeToString,
    MathFloor,
    MathTrunc,
    NumberCtor,
    NumberIsFinite,
    NumberIsInteger,
    NumberParseInt,
    NumberPrototypeToString,
    ObjectCreate,
    ObjectKeys,
    RangeErrorCtor,
    ReflectApply,
    RegExpPrototypeGetFlags,
    RegExpPrototypeGetSource,
    StringFromCharCode,
    StringPrototypeCharCodeAt,
    StringPrototypeEndsWith,
    StringPrototypeIndexOf,
    StringPrototypePadStart,
    StringPrototypeSlice,
    StringPrototypeToLowerCase,
    TypeErrorCtor,
    TypedArrayPrototypeGetBuffer,
    TypedArrayPrototypeGetByteLength,
    TypedArrayPrototypeGetByteOffset,
    TypedArrayPrototypeGetLength,
    TypedArrayPrototypeGetSymbolToStringTag,
    TypedArrayPrototypeSet,
    Uint8ArrayCtor,
    globalThis: global,
  } = prelude.primordials;
  const { defineMethods, native, setOwn, setTag } = prelude;

  prelude.later([[global, ["BSON"]], [prelude, ["bson", "bytesOf", "makeBinary", "makeObjectId"]]], () => {
    const OBJECT_ID = 1;
    const INT32 = 2;
    const LONG = 3;
    const DOUBLE = 4;
    const DECIMAL128 = 5;
    const BINARY = 6;
    const REG_EXP = 7;
    const TIMESTAMP = 8;
    const MIN_KEY = 9;
    const MAX_KEY = 10;
    const DB_REF = 11;
    const CODE = 12;
    const SYMBOL = 13;

    const INT64_MAX = 0x7fffffffffffffffn;
    const INT64_MIN = -0x8000000000000000n;
    const SUBTYPE_UUID = 4;

    function setUpClass(constructor, kind, tag, members, statics) {
      const { prototype } = constructor;
      defineMethods(prototype, members);
      setTag(prototype, tag);
      defineMethods(prototype, {
        get _bsontype() {
          return tag;
        },
      });
      if (statics !== undefined) defineMethods(constructor, statics);
      if (kind !== 0) {
        const create = function () {};
        create.prototype = prototype;
        native.registerBsonKind(kind, create);
      }
    }

    // The object a constructor gives back: `this` under `new`, a fresh instance without.
    function instance(target, receiver, prototype, kind, payload) {
      const object = target === undefined ? ObjectCreate(prototype) : receiver;
      native.brand(object, kind, payload);
      return object;
    }

    function make(prototype, kind, payload) {
      const object = ObjectCreate(prototype);
      native.brand(object, kind, payload);
      return object;
    }

    function isKind(value, kind) {
      return native.kindOf(value) === kind;
    }

    function payloadOf(value, kind, name) {
      if (native.kindOf(value) !== kind) throw new TypeErrorCtor(`this is not a BSON.${name}`);
      return native.payloadOf(value);
    }

    function isObject(value) {
      return (typeof value === "object" && value !== null) || typeof value === "function";
    }

    function isHexText(text, length) {
      if (text.length !== length) return false;
      for (let i = 0; i < length; i++) {
        const code = StringPrototypeCharCodeAt(text, i);
        const isHex = (code >= 48 && code <= 57) || (code >= 97 && code <= 102) || (code >= 65 && code <= 70);
        if (!isHex) return false;
      }
      return true;
    }

    function isArrayBuffer(value) {
      try {
        ArrayBufferPrototypeGetByteLength(value);
        return true;
      } catch {
        return false;
      }
    }

    // The bytes behind a Binary, typed array, DataView or ArrayBuffer as a Uint8Array over the same memory; undefined
    // for any other value. Runs no user code.
    function bytesOf(value) {
      if (!isObject(value)) return undefined;
      const tag = TypedArrayPrototypeGetSymbolToStringTag(value);
      if (tag === "Uint8Array") return value;
      if (tag !== undefined) {
        return new Uint8ArrayCtor(
          TypedArrayPrototypeGetBuffer(value),
          TypedArrayPrototypeGetByteOffset(value),
          TypedArrayPrototypeGetByteLength(value),
        );
      }
      if (native.kindOf(value) === BINARY) return native.payloadOf(value)[0];
      if (ArrayBufferIsView(value)) {
        return new Uint8ArrayCtor(
          DataViewPrototypeGetBuffer(value),
          DataViewPrototypeGetByteOffset(value),
          DataViewPrototypeGetByteLength(value),
        );
      }
      return isArrayBuffer(value) ? new Uint8ArrayCtor(value) : undefined;
    }

    function hexOfBytes(bytes) {
      return native.readText(bytes, "hex", 0, TypedArrayPrototypeGetLength(bytes));
    }

    function bytesOfHex(hex) {
      const bytes = new Uint8ArrayCtor(hex.length / 2);
      native.writeText(hex, "hex", bytes, 0, hex.length / 2);
      return bytes;
    }

    // A number, or anything that converts to one: strings, wrappers, BigInt.
    function toNumber(value) {
      return value === undefined ? 0 : NumberCtor(value);
    }

    // --- ObjectId ---------------------------------------------------------------------------------------------------

    function hexAtTime(seconds) {
      const time = StringPrototypePadStart(NumberPrototypeToString(MathTrunc(seconds) >>> 0, 16), 8, "0");
      return time + StringPrototypeSlice(native.newObjectId(), 8);
    }

    // 24 lower-case hex digits for whatever names an ObjectId, undefined for anything else.
    function objectIdHex(value) {
      if (typeof value === "string") {
        if (isHexText(value, 24)) return StringPrototypeToLowerCase(value);
        if (value.length <= 12 && native.textByteLength(value, "utf8") === 12) {
          const bytes = new Uint8ArrayCtor(12);
          native.writeText(value, "utf8", bytes, 0, 12);
          return hexOfBytes(bytes);
        }
        return undefined;
      }
      if (!isObject(value)) return undefined;
      if (isKind(value, OBJECT_ID)) return native.payloadOf(value);
      const bytes = bytesOf(value);
      if (bytes !== undefined) return TypedArrayPrototypeGetLength(bytes) === 12 ? hexOfBytes(bytes) : undefined;
      // An ObjectId of an npm package.
      const { toHexString } = value;
      if (typeof toHexString !== "function") return undefined;
      const hex = ReflectApply(toHexString, value, []);
      return typeof hex === "string" && isHexText(hex, 24) ? StringPrototypeToLowerCase(hex) : undefined;
    }

    function ObjectId(id) {
      let hex;
      if (id === undefined || id === null) {
        hex = native.newObjectId();
      } else if (typeof id === "number") {
        hex = hexAtTime(id);
      } else {
        hex = objectIdHex(id);
        if (hex === undefined) {
          throw new ErrorCtor("invalid ObjectId: expected a string of 24 hex digits, a string of 12 bytes, or 12 bytes");
        }
      }
      return instance(new.target, this, ObjectIdPrototype, OBJECT_ID, hex);
    }
    const ObjectIdPrototype = ObjectId.prototype;

    setUpClass(
      ObjectId,
      OBJECT_ID,
      "ObjectId",
      {
        toString(encoding) {
          const hex = payloadOf(this, OBJECT_ID, "ObjectId");
          return encoding === "base64" ? native.readText(bytesOfHex(hex), "base64", 0, 12) : hex;
        },
        toHexString() {
          return payloadOf(this, OBJECT_ID, "ObjectId");
        },
        toJSON() {
          return payloadOf(this, OBJECT_ID, "ObjectId");
        },
        equals(other) {
          const hex = payloadOf(this, OBJECT_ID, "ObjectId");
          return other !== undefined && other !== null && objectIdHex(other) === hex;
        },
        getTimestamp() {
          const hex = payloadOf(this, OBJECT_ID, "ObjectId");
          return new DateCtor(NumberParseInt(StringPrototypeSlice(hex, 0, 8), 16) * 1000);
        },
        get id() {
          return prelude.makeBuffer(bytesOfHex(payloadOf(this, OBJECT_ID, "ObjectId")));
        },
      },
      {
        isValid(id) {
          if (id === undefined || id === null) return false;
          if (typeof id === "number") return true;
          try {
            return objectIdHex(id) !== undefined;
          } catch {
            return false;
          }
        },
        createFromHexString(hex) {
          if (typeof hex !== "string" || !isHexText(hex, 24)) {
            throw new ErrorCtor("invalid ObjectId: expected a string of 24 hex digits");
          }
          return make(ObjectIdPrototype, OBJECT_ID, StringPrototypeToLowerCase(hex));
        },
        createFromBase64(base64) {
          const bytes = base64Bytes(base64);
          if (TypedArrayPrototypeGetLength(bytes) !== 12) throw new ErrorCtor("invalid ObjectId: expected 12 bytes");
          return make(ObjectIdPrototype, OBJECT_ID, hexOfBytes(bytes));
        },
        createFromTime(seconds) {
          const time = StringPrototypePadStart(NumberPrototypeToString(MathTrunc(toNumber(seconds)) >>> 0, 16), 8, "0");
          return make(ObjectIdPrototype, OBJECT_ID, `${time}0000000000000000`);
        },
        generate(seconds) {
          const time = typeof seconds === "number" ? seconds : MathFloor(DateNow() / 1000);
          return prelude.makeBuffer(bytesOfHex(hexAtTime(time)));
        },
      },
    );

    // --- Int32, Double ----------------------------------------------------------------------------------------------

    function Int32(value) {
      return instance(new.target, this, Int32Prototype, INT32, toNumber(value) | 0);
    }
    const Int32Prototype = Int32.prototype;

    setUpClass(
      Int32,
      INT32,
      "Int32",
      {
        get value() {
          return payloadOf(this, INT32, "Int32");
        },
        valueOf() {
          return payloadOf(this, INT32, "Int32");
        },
        toString(radix) {
          return NumberPrototypeToString(payloadOf(this, INT32, "Int32"), radix);
        },
        toJSON() {
          return payloadOf(this, INT32, "Int32");
        },
      },
      {
        fromString(text) {
          const value = NumberCtor(text);
          if (typeof text !== "string" || text === "" || value !== (value | 0)) {
            throw new ErrorCtor("invalid Int32: expected the decimal text of a 32-bit integer");
          }
          return make(Int32Prototype, INT32, value | 0);
        },
      },
    );

    function Double(value) {
      return instance(new.target, this, DoublePrototype, DOUBLE, toNumber(value));
    }
    const DoublePrototype = Double.prototype;

    setUpClass(
      Double,
      DOUBLE,
      "Double",
      {
        get value() {
          return payloadOf(this, DOUBLE, "Double");
        },
        valueOf() {
          return payloadOf(this, DOUBLE, "Double");
        },
        toString(radix) {
          return NumberPrototypeToString(payloadOf(this, DOUBLE, "Double"), radix);
        },
        toJSON() {
          return payloadOf(this, DOUBLE, "Double");
        },
      },
      {
        fromString(text) {
          const value = NumberCtor(text);
          if (typeof text !== "string" || text === "" || (value !== value && text !== "NaN")) {
            throw new ErrorCtor("invalid Double: expected the text of a number");
          }
          return make(DoublePrototype, DOUBLE, value);
        },
      },
    );

    // --- Long -------------------------------------------------------------------------------------------------------

    function makeLong(bigint) {
      return make(LongPrototype, LONG, BigIntAsIntN(64, bigint));
    }

    function bigintOfBits(low, high) {
      return (BigIntCtor(toNumber(high) | 0) << 32n) | BigIntCtor(toNumber(low) >>> 0);
    }

    // Numbers beyond 64 bits stop at the bounds, as in js-bson; NaN is 0.
    function bigintOfNumber(number) {
      if (number !== number) return 0n;
      if (number >= 9223372036854775807) return INT64_MAX;
      if (number <= -9223372036854775808) return INT64_MIN;
      return BigIntCtor(MathTrunc(number));
    }

    function digitOf(code) {
      if (code >= 48 && code <= 57) return code - 48;
      if (code >= 97 && code <= 122) return code - 87;
      if (code >= 65 && code <= 90) return code - 55;
      return 36;
    }

    function bigintOfText(text, radix) {
      if (typeof text !== "string") text = `${text}`;
      const base = BigIntCtor(radix);
      const code = text.length > 0 ? StringPrototypeCharCodeAt(text, 0) : 0;
      const start = code === 45 || code === 43 ? 1 : 0;
      if (text.length === start) throw new ErrorCtor("invalid Long: expected the text of an integer");
      let value = 0n;
      for (let i = start; i < text.length; i++) {
        const digit = digitOf(StringPrototypeCharCodeAt(text, i));
        if (digit >= radix) throw new ErrorCtor("invalid Long: expected the text of an integer");
        value = value * base + BigIntCtor(digit);
        // Checked at every digit, so that a long text costs linear time.
        if (value > 0x8000000000000000n) throw new ErrorCtor("invalid Long: the integer does not fit 64 bits");
      }
      if (code === 45) value = -value;
      if (value > INT64_MAX) throw new ErrorCtor("invalid Long: the integer does not fit 64 bits");
      return value;
    }

    // The integer that an argument of a Long method stands for.
    function bigintOf(value) {
      if (typeof value === "bigint") return BigIntAsIntN(64, value);
      if (typeof value === "number") return bigintOfNumber(value);
      if (typeof value === "string") return bigintOfText(value, 10);
      const kind = native.kindOf(value);
      if (kind === LONG) return native.payloadOf(value);
      if (kind === INT32 || kind === DOUBLE) return bigintOfNumber(native.payloadOf(value));
      if (isObject(value) && typeof value.low === "number" && typeof value.high === "number") {
        return bigintOfBits(value.low, value.high);
      }
      return bigintOfNumber(toNumber(value));
    }

    function radixOf(unsigned, radix) {
      const value = typeof unsigned === "number" ? unsigned : radix === undefined ? 10 : toNumber(radix);
      if (!NumberIsInteger(value) || value < 2 || value > 36) throw new RangeErrorCtor("radix must be between 2 and 36");
      return value;
    }

    function compareBigints(left, right) {
      return left < right ? -1 : left > right ? 1 : 0;
    }

    function thisLong(value) {
      return payloadOf(value, LONG, "Long");
    }

    function Long(low, high) {
      let value;
      if (typeof low === "bigint") {
        value = BigIntAsIntN(64, low);
      } else if (typeof low === "string") {
        value = bigintOfText(low, 10);
      } else if (isKind(low, LONG)) {
        value = native.payloadOf(low);
      } else if (high === undefined || typeof high === "boolean") {
        value = BigIntCtor(toNumber(low) | 0);
      } else {
        value = bigintOfBits(low, high);
      }
      return instance(new.target, this, LongPrototype, LONG, value);
    }
    const LongPrototype = Long.prototype;

    const longMembers = {
      get low() {
        return NumberCtor(BigIntAsIntN(32, thisLong(this)));
      },
      get high() {
        return NumberCtor(thisLong(this) >> 32n);
      },
      get unsigned() {
        thisLong(this);
        return false;
      },
      valueOf() {
        return NumberCtor(thisLong(this));
      },
      toNumber() {
        return NumberCtor(thisLong(this));
      },
      toInt() {
        return NumberCtor(BigIntAsIntN(32, thisLong(this)));
      },
      toBigInt() {
        return thisLong(this);
      },
      toString(radix) {
        return BigIntPrototypeToString(thisLong(this), radix === undefined ? 10 : radix);
      },
      toJSON() {
        return NumberCtor(thisLong(this));
      },
      getHighBits() {
        return NumberCtor(thisLong(this) >> 32n);
      },
      getHighBitsUnsigned() {
        return NumberCtor(BigIntAsUintN(64, thisLong(this)) >> 32n);
      },
      getLowBits() {
        return NumberCtor(BigIntAsIntN(32, thisLong(this)));
      },
      getLowBitsUnsigned() {
        return NumberCtor(BigIntAsUintN(32, thisLong(this)));
      },
      isZero() {
        return thisLong(this) === 0n;
      },
      isNegative() {
        return thisLong(this) < 0n;
      },
      isPositive() {
        return thisLong(this) >= 0n;
      },
      isOdd() {
        return (thisLong(this) & 1n) === 1n;
      },
      isEven() {
        return (thisLong(this) & 1n) === 0n;
      },
      add(other) {
        return makeLong(thisLong(this) + bigintOf(other));
      },
      subtract(other) {
        return makeLong(thisLong(this) - bigintOf(other));
      },
      multiply(other) {
        return makeLong(thisLong(this) * bigintOf(other));
      },
      divide(other) {
        const divisor = bigintOf(other);
        if (divisor === 0n) throw new RangeErrorCtor("division by zero");
        return makeLong(thisLong(this) / divisor);
      },
      modulo(other) {
        const divisor = bigintOf(other);
        if (divisor === 0n) throw new RangeErrorCtor("division by zero");
        return makeLong(thisLong(this) % divisor);
      },
      negate() {
        return makeLong(-thisLong(this));
      },
      not() {
        return makeLong(~thisLong(this));
      },
      and(other) {
        return makeLong(thisLong(this) & bigintOf(other));
      },
      or(other) {
        return makeLong(thisLong(this) | bigintOf(other));
      },
      xor(other) {
        return makeLong(thisLong(this) ^ bigintOf(other));
      },
      shiftLeft(bits) {
        return makeLong(thisLong(this) << (bigintOf(bits) & 63n));
      },
      shiftRight(bits) {
        return makeLong(thisLong(this) >> (bigintOf(bits) & 63n));
      },
      shiftRightUnsigned(bits) {
        return makeLong(BigIntAsUintN(64, thisLong(this)) >> (bigintOf(bits) & 63n));
      },
      compare(other) {
        return compareBigints(thisLong(this), bigintOf(other));
      },
      equals(other) {
        return thisLong(this) === bigintOf(other);
      },
      notEquals(other) {
        return thisLong(this) !== bigintOf(other);
      },
      lessThan(other) {
        return thisLong(this) < bigintOf(other);
      },
      lessThanOrEqual(other) {
        return thisLong(this) <= bigintOf(other);
      },
      greaterThan(other) {
        return thisLong(this) > bigintOf(other);
      },
      greaterThanOrEqual(other) {
        return thisLong(this) >= bigintOf(other);
      },
    };
    // Short names of js-bson.
    const longAliases = {
      __proto__: null,
      sub: "subtract",
      mul: "multiply",
      div: "divide",
      mod: "modulo",
      rem: "modulo",
      neg: "negate",
      shl: "shiftLeft",
      shr: "shiftRight",
      shru: "shiftRightUnsigned",
      comp: "compare",
      eq: "equals",
      ne: "notEquals",
      neq: "notEquals",
      lt: "lessThan",
      lte: "lessThanOrEqual",
      le: "lessThanOrEqual",
      gt: "greaterThan",
      gte: "greaterThanOrEqual",
      ge: "greaterThanOrEqual",
      eqz: "isZero",
    };
    const longAliasNames = ObjectKeys(longAliases);
    for (let i = 0; i < longAliasNames.length; i++) {
      setOwn(longMembers, longAliasNames[i], longMembers[longAliases[longAliasNames[i]]]);
    }

    setUpClass(Long, LONG, "Long", longMembers, {
      fromNumber(number) {
        return makeLong(bigintOfNumber(toNumber(number)));
      },
      fromInt(number) {
        return makeLong(BigIntCtor(toNumber(number) | 0));
      },
      fromBigInt(bigint) {
        return makeLong(BigIntCtor(bigint));
      },
      fromBits(low, high) {
        return makeLong(bigintOfBits(low, high));
      },
      fromString(text, unsigned, radix) {
        return makeLong(bigintOfText(text, radixOf(unsigned, radix)));
      },
      fromValue(value) {
        return makeLong(bigintOf(value));
      },
      isLong(value) {
        return isKind(value, LONG);
      },
    });
    defineMethods(Long, {
      MAX_VALUE: makeLong(INT64_MAX),
      MIN_VALUE: makeLong(INT64_MIN),
      ZERO: makeLong(0n),
      ONE: makeLong(1n),
      NEG_ONE: makeLong(-1n),
    });

    // --- Decimal128 -------------------------------------------------------------------------------------------------

    function decimalText(value) {
      if (isKind(value, DECIMAL128)) return native.payloadOf(value);
      const text = value === undefined ? "0" : `${value}`;
      // 34 digits are significant; nobody writes thousands of zeros around them.
      if (text.length > 4096) throw new ErrorCtor("invalid Decimal128: the text is too long");
      return native.decimal128(text);
    }

    function Decimal128(text) {
      return instance(new.target, this, Decimal128Prototype, DECIMAL128, decimalText(text));
    }
    const Decimal128Prototype = Decimal128.prototype;

    setUpClass(
      Decimal128,
      DECIMAL128,
      "Decimal128",
      {
        toString() {
          return payloadOf(this, DECIMAL128, "Decimal128");
        },
        toJSON() {
          return payloadOf(this, DECIMAL128, "Decimal128");
        },
      },
      {
        fromString(text) {
          return make(Decimal128Prototype, DECIMAL128, decimalText(text));
        },
      },
    );

    // --- Binary, UUID -----------------------------------------------------------------------------------------------

    function subTypeOf(value) {
      const number = toNumber(value);
      if (!NumberIsInteger(number) || number < 0 || number > 255) {
        throw new ErrorCtor("invalid Binary: the subtype must be a whole number from 0 to 255");
      }
      return number;
    }

    function copyOfBytes(bytes) {
      const copy = new Uint8ArrayCtor(TypedArrayPrototypeGetLength(bytes));
      TypedArrayPrototypeSet(copy, bytes, 0);
      return copy;
    }

    function binaryBytes(value) {
      if (value === undefined || value === null) return new Uint8ArrayCtor(0);
      if (typeof value === "string") {
        const bytes = new Uint8ArrayCtor(value.length);
        if (native.writeText(value, "latin1strict", bytes, 0, value.length) !== value.length) {
          throw new ErrorCtor("invalid Binary: not a string of bytes; use BSON.Binary.fromText for text");
        }
        return bytes;
      }
      const bytes = bytesOf(value);
      if (bytes !== undefined) return copyOfBytes(bytes);
      if (ArrayIsArray(value)) {
        const copy = new Uint8ArrayCtor(value.length);
        for (let i = 0; i < copy.length; i++) copy[i] = value[i];
        return copy;
      }
      throw new ErrorCtor("invalid Binary: expected bytes, an array of numbers or a string");
    }

    function textArgument(value, call) {
      if (typeof value !== "string") throw new ErrorCtor(`${call}: expected a string`);
      return value;
    }

    function hexBytes(hex) {
      textArgument(hex, "Binary.fromHex");
      // A documentation sample of the platform ends with a stray "=".
      if (StringPrototypeEndsWith(hex, "=")) hex = StringPrototypeSlice(hex, 0, -1);
      const length = hex.length / 2;
      if (hex.length % 2 === 0) {
        const bytes = new Uint8ArrayCtor(length);
        if (native.writeText(hex, "hex", bytes, 0, length) === length) return bytes;
      }
      throw new ErrorCtor("Binary.fromHex: expected an even number of hex digits");
    }

    function base64Bytes(base64) {
      textArgument(base64, "Binary.fromBase64");
      const { length } = base64;
      if (length % 4 === 0) {
        const padding = StringPrototypeEndsWith(base64, "==") ? 2 : StringPrototypeEndsWith(base64, "=") ? 1 : 0;
        const bytes = new Uint8ArrayCtor((length / 4) * 3 - padding);
        if (native.writeText(base64, "base64strict", bytes, 0, bytes.length) === bytes.length) return bytes;
      }
      throw new ErrorCtor("Binary.fromBase64: expected base64 text with correct padding");
    }

    function textBytes(text) {
      textArgument(text, "Binary.fromText");
      const length = native.textByteLength(text, "utf8");
      const bytes = new Uint8ArrayCtor(length);
      native.writeText(text, "utf8", bytes, 0, length);
      return bytes;
    }

    function thisBinary(value) {
      return payloadOf(value, BINARY, "Binary");
    }

    function readBinary(value, encoding) {
      const bytes = thisBinary(value)[0];
      return native.readText(bytes, encoding, 0, TypedArrayPrototypeGetLength(bytes));
    }

    function makeBinary(bytes, subType) {
      return make(BinaryPrototype, BINARY, [bytes, subType]);
    }

    function Binary(buffer, subType) {
      const bytes = isKind(buffer, BINARY) ? copyOfBytes(native.payloadOf(buffer)[0]) : binaryBytes(buffer);
      if (subType === undefined && isKind(buffer, BINARY)) subType = native.payloadOf(buffer)[1];
      return instance(new.target, this, BinaryPrototype, BINARY, [bytes, subTypeOf(subType)]);
    }
    const BinaryPrototype = Binary.prototype;

    setUpClass(
      Binary,
      BINARY,
      "Binary",
      {
        toHex() {
          return readBinary(this, "hex");
        },
        toBase64() {
          return readBinary(this, "base64");
        },
        text() {
          return readBinary(this, "utf8");
        },
        toString(encoding) {
          return readBinary(this, encoding === "hex" || encoding === "base64" ? encoding : "utf8");
        },
        length() {
          return TypedArrayPrototypeGetLength(thisBinary(this)[0]);
        },
        get subType() {
          return thisBinary(this)[1];
        },
        get sub_type() {
          return thisBinary(this)[1];
        },
        get position() {
          return TypedArrayPrototypeGetLength(thisBinary(this)[0]);
        },
        get buffer() {
          return prelude.makeBuffer(thisBinary(this)[0]);
        },
        value() {
          return prelude.makeBuffer(thisBinary(this)[0]);
        },
        toJSON() {
          return { Subtype: thisBinary(this)[1], Data: readBinary(this, "base64") };
        },
        toUUID() {
          const payload = thisBinary(this);
          if (payload[1] !== SUBTYPE_UUID) throw new ErrorCtor("toUUID: the Binary is not of subtype 4");
          return makeUUID(uuidBytes(payload[0]));
        },
      },
      {
        fromHex(hex, subType) {
          return makeBinary(hexBytes(hex), subTypeOf(subType));
        },
        fromBase64(base64, subType) {
          return makeBinary(base64Bytes(base64), subTypeOf(subType));
        },
        fromText(text, subType) {
          return makeBinary(textBytes(text), subTypeOf(subType));
        },
        createFromHexString(hex, subType) {
          return makeBinary(hexBytes(hex), subTypeOf(subType));
        },
        createFromBase64(base64, subType) {
          return makeBinary(base64Bytes(base64), subTypeOf(subType));
        },
        SUBTYPE_DEFAULT: 0,
        SUBTYPE_FUNCTION: 1,
        SUBTYPE_BYTE_ARRAY: 2,
        SUBTYPE_UUID_OLD: 3,
        SUBTYPE_UUID: 4,
        SUBTYPE_MD5: 5,
        SUBTYPE_ENCRYPTED: 6,
        SUBTYPE_COLUMN: 7,
        SUBTYPE_USER_DEFINED: 128,
      },
    );

    function uuidBytes(bytes) {
      if (TypedArrayPrototypeGetLength(bytes) !== 16) throw new ErrorCtor("invalid UUID: expected 16 bytes");
      return copyOfBytes(bytes);
    }

    // The 32 hex digits of a UUID text, with dashes in their places or without any; undefined for other text.
    function uuidHexOfText(text) {
      let hex = text;
      if (text.length === 36) {
        const dashes = [8, 13, 18, 23];
        hex = "";
        let start = 0;
        for (let i = 0; i < 4; i++) {
          if (text[dashes[i]] !== "-") return undefined;
          hex += StringPrototypeSlice(text, start, dashes[i]);
          start = dashes[i] + 1;
        }
        hex += StringPrototypeSlice(text, start);
      }
      return isHexText(hex, 32) ? hex : undefined;
    }

    function randomUUIDBytes() {
      const bytes = new Uint8ArrayCtor(16);
      native.fillRandom(bytes);
      bytes[6] = (bytes[6] & 0x0f) | 0x40;
      bytes[8] = (bytes[8] & 0x3f) | 0x80;
      return bytes;
    }

    function bytesOfUUID(value) {
      if (value === undefined || value === null) return randomUUIDBytes();
      if (typeof value === "string") {
        const hex = uuidHexOfText(value);
        if (hex !== undefined) return bytesOfHex(hex);
      } else {
        const bytes = bytesOf(value);
        if (bytes !== undefined) return uuidBytes(bytes);
      }
      throw new ErrorCtor("invalid UUID: expected 32 hex digits, with or without dashes, or 16 bytes");
    }

    function uuidText(value, withDashes) {
      const hex = readBinary(value, "hex");
      if (!withDashes) return hex;
      const part = StringPrototypeSlice;
      return `${part(hex, 0, 8)}-${part(hex, 8, 12)}-${part(hex, 12, 16)}-${part(hex, 16, 20)}-${part(hex, 20)}`;
    }

    function makeUUID(bytes) {
      return make(UUIDPrototype, BINARY, [bytes, SUBTYPE_UUID]);
    }

    function UUID(value) {
      return instance(new.target, this, UUIDPrototype, BINARY, [bytesOfUUID(value), SUBTYPE_UUID]);
    }
    const UUIDPrototype = ObjectCreate(BinaryPrototype, {
      constructor: { __proto__: null, value: UUID, writable: true, configurable: true },
    });
    UUID.prototype = UUIDPrototype;

    setUpClass(
      UUID,
      0,
      "UUID",
      {
        toHexString(includeDashes) {
          return uuidText(this, includeDashes !== false);
        },
        toString(encoding) {
          return encoding === "hex" || encoding === "base64" ? readBinary(this, encoding) : uuidText(this, true);
        },
        get id() {
          return prelude.makeBuffer(thisBinary(this)[0]);
        },
        equals(other) {
          if (other === undefined || other === null) return false;
          try {
            const text = native.readText(bytesOfUUID(other), "hex", 0, 16);
            return text === readBinary(this, "hex");
          } catch {
            return false;
          }
        },
        toBinary() {
          return makeBinary(copyOfBytes(thisBinary(this)[0]), SUBTYPE_UUID);
        },
      },
      {
        generate() {
          return prelude.makeBuffer(randomUUIDBytes());
        },
        isValid(value) {
          if (value === undefined || value === null) return false;
          if (typeof value === "string") return uuidHexOfText(value) !== undefined;
          const bytes = bytesOf(value);
          return bytes !== undefined && TypedArrayPrototypeGetLength(bytes) === 16;
        },
        createFromHexString(hex) {
          return makeUUID(bytesOfUUID(textArgument(hex, "UUID.createFromHexString")));
        },
      },
    );

    // --- BSONRegExp -------------------------------------------------------------------------------------------------

    // BSON asks for the options in alphabetical order.
    function sortedOptions(options) {
      let sorted = "";
      let previous = -1;
      for (;;) {
        let next = 0x10000;
        for (let i = 0; i < options.length; i++) {
          const code = StringPrototypeCharCodeAt(options, i);
          if (code > previous && code < next) next = code;
        }
        if (next === 0x10000) return sorted;
        sorted += options[StringPrototypeIndexOf(options, StringFromCharCode(next))];
        previous = next;
      }
    }

    function regExpSource(value) {
      // The getter throws for anything but a RegExp; RegExp.prototype itself gives "(?:)".
      try {
        return RegExpPrototypeGetSource(value);
      } catch {
        return undefined;
      }
    }

    function BSONRegExp(pattern, options) {
      if (isObject(pattern)) {
        const source = regExpSource(pattern);
        if (isKind(pattern, REG_EXP)) {
          const payload = native.payloadOf(pattern);
          if (options === undefined) options = payload[1];
          pattern = payload[0];
        } else if (source !== undefined) {
          if (options === undefined) options = RegExpPrototypeGetFlags(pattern);
          pattern = source;
        }
      }
      const text = pattern === undefined ? "" : `${pattern}`;
      const flags = options === undefined || options === null ? "" : `${options}`;
      if (StringPrototypeIndexOf(text, "\0") !== -1 || StringPrototypeIndexOf(flags, "\0") !== -1) {
        throw new ErrorCtor("invalid BSONRegExp: pattern and flags must not hold a NUL character");
      }
      if (flags.length > 64) throw new ErrorCtor("invalid BSONRegExp: too many flags");
      return instance(new.target, this, BSONRegExpPrototype, REG_EXP, [text, sortedOptions(flags)]);
    }
    const BSONRegExpPrototype = BSONRegExp.prototype;

    setUpClass(BSONRegExp, REG_EXP, "BSONRegExp", {
      get pattern() {
        return payloadOf(this, REG_EXP, "BSONRegExp")[0];
      },
      get options() {
        return payloadOf(this, REG_EXP, "BSONRegExp")[1];
      },
      toString() {
        const payload = payloadOf(this, REG_EXP, "BSONRegExp");
        return `/${payload[0]}/${payload[1]}`;
      },
      toJSON() {
        const payload = payloadOf(this, REG_EXP, "BSONRegExp");
        return { Pattern: payload[0], Options: payload[1] };
      },
    });

    // --- Timestamp --------------------------------------------------------------------------------------------------

    function timestampPart(value, name) {
      const number = toNumber(value);
      if (!NumberIsFinite(number) || number < 0 || number > 0xffffffff) {
        throw new ErrorCtor(`invalid Timestamp: ${name} must be a whole number from 0 to 4294967295`);
      }
      return MathTrunc(number);
    }

    function timestampOfBigint(bigint) {
      const bits = BigIntAsUintN(64, bigint);
      return [NumberCtor(bits >> 32n), NumberCtor(bits & 0xffffffffn)];
    }

    function thisTimestamp(value) {
      return payloadOf(value, TIMESTAMP, "Timestamp");
    }

    function bigintOfTimestamp(payload) {
      return (BigIntCtor(payload[0]) << 32n) | BigIntCtor(payload[1]);
    }

    function timestampOrder(value, other) {
      const right = isKind(other, TIMESTAMP) ? bigintOfTimestamp(native.payloadOf(other)) : bigintOf(other);
      return compareBigints(bigintOfTimestamp(thisTimestamp(value)), right);
    }

    function Timestamp(low, high) {
      let payload;
      if (typeof low === "bigint") {
        payload = timestampOfBigint(low);
      } else if (isKind(low, TIMESTAMP)) {
        const other = native.payloadOf(low);
        payload = [other[0], other[1]];
      } else if (isKind(low, LONG)) {
        payload = timestampOfBigint(native.payloadOf(low));
      } else if (isObject(low) && native.kindOf(low) === 0) {
        payload = [timestampPart(low.t, "t"), timestampPart(low.i, "i")];
      } else {
        // Two signed or unsigned halves.
        payload = [toNumber(high) >>> 0, toNumber(low) >>> 0];
      }
      return instance(new.target, this, TimestampPrototype, TIMESTAMP, payload);
    }
    const TimestampPrototype = Timestamp.prototype;

    setUpClass(
      Timestamp,
      TIMESTAMP,
      "Timestamp",
      {
        get t() {
          return thisTimestamp(this)[0];
        },
        get i() {
          return thisTimestamp(this)[1];
        },
        get high() {
          return thisTimestamp(this)[0] | 0;
        },
        get low() {
          return thisTimestamp(this)[1] | 0;
        },
        getHighBits() {
          return thisTimestamp(this)[0] | 0;
        },
        getHighBitsUnsigned() {
          return thisTimestamp(this)[0];
        },
        getLowBits() {
          return thisTimestamp(this)[1] | 0;
        },
        getLowBitsUnsigned() {
          return thisTimestamp(this)[1];
        },
        toBigInt() {
          return bigintOfTimestamp(thisTimestamp(this));
        },
        compare(other) {
          return timestampOrder(this, other);
        },
        equals(other) {
          return timestampOrder(this, other) === 0;
        },
        lessThan(other) {
          return timestampOrder(this, other) < 0;
        },
        greaterThan(other) {
          return timestampOrder(this, other) > 0;
        },
        toString() {
          const payload = thisTimestamp(this);
          return `Timestamp(${payload[0]}, ${payload[1]})`;
        },
        toJSON() {
          const payload = thisTimestamp(this);
          return { T: payload[0], I: payload[1] };
        },
      },
      {
        fromBits(low, high) {
          return make(TimestampPrototype, TIMESTAMP, [toNumber(high) >>> 0, toNumber(low) >>> 0]);
        },
        fromInt(number) {
          return make(TimestampPrototype, TIMESTAMP, [0, toNumber(number) >>> 0]);
        },
        fromNumber(number) {
          return make(TimestampPrototype, TIMESTAMP, timestampOfBigint(bigintOfNumber(toNumber(number))));
        },
        fromString(text, radix) {
          return make(TimestampPrototype, TIMESTAMP, timestampOfBigint(bigintOfText(text, radixOf(radix, undefined))));
        },
      },
    );

    // --- MinKey, MaxKey: used as values, without a call -------------------------------------------------------------

    function MinKey() {
      return instance(new.target, this, MinKeyPrototype, MIN_KEY, null);
    }
    const MinKeyPrototype = MinKey.prototype;

    function MaxKey() {
      return instance(new.target, this, MaxKeyPrototype, MAX_KEY, null);
    }
    const MaxKeyPrototype = MaxKey.prototype;

    function setUpKey(constructor, kind, name) {
      const members = {
        toString() {
          return name;
        },
        toJSON() {
          return {};
        },
      };
      setUpClass(constructor, kind, name, members);
      // The class itself is the value.
      native.brand(constructor, kind, null);
      defineMethods(constructor, members);
      setTag(constructor, name);
    }
    setUpKey(MinKey, MIN_KEY, "MinKey");
    setUpKey(MaxKey, MAX_KEY, "MaxKey");

    // --- DBRef, Code, BSONSymbol ------------------------------------------------------------------------------------

    function DBRef(collection, oid, db, fields) {
      let name = `${collection}`;
      const dot = StringPrototypeIndexOf(name, ".");
      if (db === undefined && dot > 0 && StringPrototypeIndexOf(name, ".", dot + 1) === -1) {
        db = StringPrototypeSlice(name, 0, dot);
        name = StringPrototypeSlice(name, dot + 1);
      }
      return instance(new.target, this, DBRefPrototype, DB_REF, [name, oid, db, isObject(fields) ? fields : {}]);
    }
    const DBRefPrototype = DBRef.prototype;

    setUpClass(DBRef, DB_REF, "DBRef", {
      get collection() {
        return payloadOf(this, DB_REF, "DBRef")[0];
      },
      get namespace() {
        return payloadOf(this, DB_REF, "DBRef")[0];
      },
      get oid() {
        return payloadOf(this, DB_REF, "DBRef")[1];
      },
      get db() {
        return payloadOf(this, DB_REF, "DBRef")[2];
      },
      get fields() {
        return payloadOf(this, DB_REF, "DBRef")[3];
      },
      toJSON() {
        const payload = payloadOf(this, DB_REF, "DBRef");
        const result = { $ref: payload[0], $id: payload[1] };
        if (payload[2] !== undefined) result.$db = payload[2];
        const keys = ObjectKeys(payload[3]);
        for (let i = 0; i < keys.length; i++) {
          setOwn(result, keys[i], payload[3][keys[i]]);
        }
        return result;
      },
    });

    function Code(code, scope) {
      const text = typeof code === "function" ? FunctionPrototypeToString(code) : `${code === undefined ? "" : code}`;
      return instance(new.target, this, CodePrototype, CODE, [text, isObject(scope) ? scope : undefined]);
    }
    const CodePrototype = Code.prototype;

    setUpClass(Code, CODE, "Code", {
      get code() {
        return payloadOf(this, CODE, "Code")[0];
      },
      get scope() {
        const scope = payloadOf(this, CODE, "Code")[1];
        return scope === undefined ? null : scope;
      },
      toString() {
        return payloadOf(this, CODE, "Code")[0];
      },
      toJSON() {
        const payload = payloadOf(this, CODE, "Code");
        return payload[1] === undefined ? { code: payload[0] } : { code: payload[0], scope: payload[1] };
      },
    });

    function BSONSymbol(value) {
      return instance(new.target, this, BSONSymbolPrototype, SYMBOL, value === undefined ? "" : `${value}`);
    }
    const BSONSymbolPrototype = BSONSymbol.prototype;

    setUpClass(BSONSymbol, SYMBOL, "BSONSymbol", {
      get value() {
        return payloadOf(this, SYMBOL, "BSONSymbol");
      },
      valueOf() {
        return payloadOf(this, SYMBOL, "BSONSymbol");
      },
      toString() {
        return payloadOf(this, SYMBOL, "BSONSymbol");
      },
      toJSON() {
        return payloadOf(this, SYMBOL, "BSONSymbol");
      },
    });

    // --- Offered to the rest of the prelude -------------------------------------------------------------------------

    const bson = {
      __proto__: null,
      ObjectId,
      ObjectID: ObjectId,
      Int32,
      Long,
      Double,
      Decimal128,
      Binary,
      UUID,
      BSONRegExp,
      Timestamp,
      MinKey,
      MaxKey,
      DBRef,
      Code,
      BSONSymbol,
    };
    const BSON = {};
    const names = ObjectKeys(bson);
    for (let i = 0; i < names.length; i++) setOwn(BSON, names[i], bson[names[i]]);
    return {
      __proto__: null,
      BSON,
      bson,
      bytesOf,
      // `bytes` (Uint8Array of this realm) is taken, not copied.
      makeBinary(bytes, subType) {
        return makeBinary(bytes, subType === undefined ? 0 : subType);
      },
      // `hex`: 24 lower-case hex digits.
      makeObjectId(hex) {
        return make(ObjectIdPrototype, OBJECT_ID, hex);
      },
    };
  });
})
