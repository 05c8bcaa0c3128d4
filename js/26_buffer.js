// The global `Buffer`: Node's byte buffer, a subclass of Uint8Array. Memory is always zeroed and never pooled.
(function (prelude) {
  "use strict";

  const {
    ArrayBufferPrototypeGetByteLength,
    ArrayIsArray,
    DataViewCtor,
    DataViewPrototypeGetBigInt64,
    DataViewPrototypeGetBigUint64,
    DataViewPrototypeGetFloat32,
    DataViewPrototypeGetFloat64,
    DataViewPrototypeSetBigInt64,
    DataViewPrototypeSetBigUint64,
    DataViewPrototypeSetFloat32,
    DataViewPrototypeSetFloat64,
    MathFloor,
    MathMin,
    MathPow,
    MathTrunc,
    NumberIsInteger,
    NumberIsNaN,
    ObjectDefineProperty,
    ObjectKeys,
    ObjectPrototypeIsPrototypeOf,
    ObjectSetPrototypeOf,
    RangeErrorCtor,
    ReflectApply,
    StringPrototypeCharCodeAt,
    StringPrototypeReplace,
    StringPrototypeToLowerCase,
    SymbolFor,
    SymbolSpecies,
    SymbolToPrimitive,
    TypeErrorCtor,
    TypedArrayPrototypeCopyWithin,
    TypedArrayPrototypeFill,
    TypedArrayPrototypeGetBuffer,
    TypedArrayPrototypeGetByteLength,
    TypedArrayPrototypeGetByteOffset,
    TypedArrayPrototypeGetLength,
    TypedArrayPrototypeGetSymbolToStringTag,
    TypedArrayPrototypeIndexOf,
    TypedArrayPrototypeLastIndexOf,
    TypedArrayPrototypeSet,
    Uint8ArrayCtor,
    globalThis: global,
  } = prelude.primordials;
  const { defineMethods, native, setOwn } = prelude;

  prelude.later([[global, ["Buffer"]], [prelude, ["makeBuffer"]]], () => {
    const LENGTH_MAX = 0x7fffffff;

    // --- Errors and checks ------------------------------------------------------------------------------------------

    function withCode(error, code) {
      return setOwn(error, "code", code);
    }

    function wrongType(name, expected) {
      return withCode(new TypeErrorCtor(`The "${name}" argument must be ${expected}`), "ERR_INVALID_ARG_TYPE");
    }

    function outOfRange(name, expected, value) {
      const text = typeof value === "bigint" ? `${value}n` : `${value}`;
      return withCode(
        new RangeErrorCtor(`The value of "${name}" is out of range. It must be ${expected}. Received ${text}`),
        "ERR_OUT_OF_RANGE",
      );
    }

    function isBytes(value) {
      return TypedArrayPrototypeGetSymbolToStringTag(value) === "Uint8Array";
    }

    function lengthOf(bytes) {
      return TypedArrayPrototypeGetLength(bytes);
    }

    function checkedSize(size) {
      if (typeof size !== "number") throw wrongType("size", "of type number");
      if (!(size >= 0 && size <= LENGTH_MAX)) throw outOfRange("size", `>= 0 && <= ${LENGTH_MAX}`, size);
      return size;
    }

    const ENCODINGS = {
      __proto__: null,
      utf8: "utf8",
      "utf-8": "utf8",
      hex: "hex",
      base64: "base64",
      base64url: "base64url",
      ascii: "ascii",
      latin1: "latin1",
      binary: "latin1",
      ucs2: "utf16le",
      "ucs-2": "utf16le",
      utf16le: "utf16le",
      "utf-16le": "utf16le",
    };

    // Our name of an encoding, undefined for an unknown one.
    function encodingNamed(name) {
      if (name === undefined || name === null || name === "") return "utf8";
      if (typeof name !== "string") return undefined;
      return ENCODINGS[name] || ENCODINGS[StringPrototypeToLowerCase(name)];
    }

    function checkedEncoding(name) {
      const encoding = encodingNamed(name);
      if (encoding === undefined) throw withCode(new TypeErrorCtor(`Unknown encoding: ${name}`), "ERR_UNKNOWN_ENCODING");
      return encoding;
    }

    // --- Construction -----------------------------------------------------------------------------------------------

    class FastBuffer extends Uint8ArrayCtor {
      // Written out: the default constructor would spread its arguments through Array.prototype[Symbol.iterator].
      constructor(source, byteOffset, length) {
        super(source, byteOffset, length);
      }
    }
    const BufferPrototype = FastBuffer.prototype;

    function view(bytes, start, end) {
      const byteOffset = TypedArrayPrototypeGetByteOffset(bytes) + start;
      return new FastBuffer(TypedArrayPrototypeGetBuffer(bytes), byteOffset, end - start);
    }

    function fromText(text, encodingName) {
      const encoding = checkedEncoding(encodingName);
      const capacity = native.textByteLength(text, encoding);
      const buffer = new FastBuffer(capacity);
      const written = native.writeText(text, encoding, buffer, 0, capacity);
      if (written === capacity) return buffer;
      // Text with characters outside its alphabet: the bytes that count, in memory of their own.
      const exact = new FastBuffer(written);
      TypedArrayPrototypeSet(exact, view(buffer, 0, written), 0);
      return exact;
    }

    function fromBytes(bytes) {
      const buffer = new FastBuffer(lengthOf(bytes));
      TypedArrayPrototypeSet(buffer, bytes, 0);
      return buffer;
    }

    function fromArrayLike(source) {
      if (TypedArrayPrototypeGetSymbolToStringTag(source) !== undefined) return fromBytes(source);
      const length = MathTrunc(+source.length) || 0;
      const buffer = new FastBuffer(length > 0 ? checkedSize(length) : 0);
      // Bytes are taken modulo 256, as the element type does by itself.
      for (let i = 0; i < length; i++) buffer[i] = source[i];
      return buffer;
    }

    function isArrayBuffer(value) {
      try {
        ArrayBufferPrototypeGetByteLength(value);
        return true;
      } catch {
        return false;
      }
    }

    function fromArrayBuffer(memory, byteOffset, length) {
      const total = ArrayBufferPrototypeGetByteLength(memory);
      const start = byteOffset === undefined ? 0 : +byteOffset || 0;
      if (start < 0 || start > total) {
        throw withCode(new RangeErrorCtor(`"offset" is outside of buffer bounds`), "ERR_BUFFER_OUT_OF_BOUNDS");
      }
      if (length === undefined) return new FastBuffer(memory, start, total - start);
      const count = +length > 0 ? +length : 0;
      if (count > total - start) {
        throw withCode(new RangeErrorCtor(`"length" is outside of buffer bounds`), "ERR_BUFFER_OUT_OF_BOUNDS");
      }
      return new FastBuffer(memory, start, count);
    }

    function invalidSource() {
      return wrongType(
        "first",
        "of type string or an instance of Buffer, ArrayBuffer, or Array or an Array-like Object",
      );
    }

    function from(value, encodingOrOffset, length) {
      if (typeof value === "string") return fromText(value, encodingOrOffset);
      if (typeof value !== "object" || value === null) throw invalidSource();
      if (isArrayBuffer(value)) return fromArrayBuffer(value, encodingOrOffset, length);
      if (native.kindOf(value) !== 0) {
        const bytes = prelude.bytesOf(value);
        if (bytes === undefined) throw invalidSource();
        return fromBytes(bytes);
      }
      const isTypedArray = TypedArrayPrototypeGetSymbolToStringTag(value) !== undefined;
      if (isTypedArray || ArrayIsArray(value)) return fromArrayLike(value);
      const { valueOf } = value;
      const primitive = typeof valueOf === "function" ? ReflectApply(valueOf, value, []) : undefined;
      if (primitive !== undefined && primitive !== null && primitive !== value) {
        const isSource = typeof primitive === "string" || typeof primitive === "object";
        if (isSource) return from(primitive, encodingOrOffset, length);
      }
      if (value.length !== undefined) return fromArrayLike(value);
      if (value.type === "Buffer" && ArrayIsArray(value.data)) return fromArrayLike(value.data);
      const toPrimitive = value[SymbolToPrimitive];
      if (typeof toPrimitive === "function") {
        const text = ReflectApply(toPrimitive, value, ["string"]);
        if (typeof text === "string") return fromText(text, encodingOrOffset);
      }
      throw invalidSource();
    }

    // Callable with and without `new`, deprecated in both forms.
    function Buffer(value, encodingOrOffset, length) {
      if (typeof value === "number") {
        if (typeof encodingOrOffset === "string") throw wrongType("string", "of type string. Received type number");
        return new FastBuffer(checkedSize(value));
      }
      return from(value, encodingOrOffset, length);
    }
    ObjectSetPrototypeOf(Buffer, Uint8ArrayCtor);
    ObjectDefineProperty(Buffer, "prototype", { __proto__: null, value: BufferPrototype, writable: false });
    ObjectDefineProperty(BufferPrototype, "constructor", {
      __proto__: null,
      value: Buffer,
      writable: true,
      configurable: true,
    });
    ObjectDefineProperty(Buffer, SymbolSpecies, {
      __proto__: null,
      get() {
        return FastBuffer;
      },
      configurable: true,
    });

    function isBuffer(value) {
      return ObjectPrototypeIsPrototypeOf(BufferPrototype, value);
    }

    function compareBytes(left, right) {
      return native.bytesCompare(left, right);
    }

    function checkBytes(value, name) {
      if (!isBytes(value)) throw wrongType(name, "an instance of Buffer or Uint8Array");
    }

    // Static members of Node's Buffer are enumerable.
    const statics = {
      from(value, encodingOrOffset, length) {
        return from(value, encodingOrOffset, length);
      },
      alloc(size, fill, encoding) {
        const buffer = new FastBuffer(checkedSize(size));
        const isFilled = fill !== undefined && fill !== 0 && size > 0;
        return isFilled ? fillBuffer(buffer, fill, 0, lengthOf(buffer), encoding) : buffer;
      },
      allocUnsafe(size) {
        return new FastBuffer(checkedSize(size));
      },
      allocUnsafeSlow(size) {
        return new FastBuffer(checkedSize(size));
      },
      isBuffer,
      isEncoding(encoding) {
        return typeof encoding === "string" && encoding.length !== 0 && encodingNamed(encoding) !== undefined;
      },
      byteLength(value, encodingName) {
        if (typeof value !== "string") {
          const bytes = prelude.bytesOf(value);
          if (bytes === undefined) throw wrongType("string", "of type string or an instance of Buffer or ArrayBuffer");
          return lengthOf(bytes);
        }
        const encoding = encodingNamed(encodingName) || "utf8";
        const { length } = value;
        if (encoding !== "base64" && encoding !== "base64url") return native.textByteLength(value, encoding);
        let digits = length;
        while (digits > 0 && length - digits < 2 && StringPrototypeCharCodeAt(value, digits - 1) === 61) digits--;
        return MathFloor((digits * 3) / 4);
      },
      compare(left, right) {
        checkBytes(left, "buf1");
        checkBytes(right, "buf2");
        return compareBytes(left, right);
      },
      concat(list, totalLength) {
        if (!ArrayIsArray(list)) throw wrongType("list", "an instance of Array");
        const count = list.length;
        const items = ObjectSetPrototypeOf([], null);
        let total = 0;
        for (let i = 0; i < count; i++) {
          const item = list[i];
          if (!isBytes(item)) throw wrongType(`list[${i}]`, "an instance of Buffer or Uint8Array");
          items[i] = item;
          total += lengthOf(item);
        }
        const length = totalLength === undefined ? total : checkedSize(MathTrunc(totalLength));
        const buffer = new FastBuffer(length);
        let at = 0;
        for (let i = 0; i < count && at < length; i++) {
          const room = length - at;
          const itemLength = lengthOf(items[i]);
          TypedArrayPrototypeSet(buffer, itemLength > room ? view(items[i], 0, room) : items[i], at);
          at += itemLength;
        }
        return buffer;
      },
      copyBytesFrom(source, offset, length) {
        const bytes = TypedArrayPrototypeGetSymbolToStringTag(source) === undefined ? undefined : prelude.bytesOf(source);
        if (bytes === undefined) throw wrongType("view", "an instance of TypedArray");
        const width = TypedArrayPrototypeGetByteLength(source) / (lengthOf(source) || 1);
        const start = MathMin((offset === undefined ? 0 : checkedSize(offset)) * width, lengthOf(bytes));
        const count = length === undefined ? lengthOf(bytes) : checkedSize(length) * width;
        const end = MathMin(start + count, lengthOf(bytes));
        return fromBytes(view(bytes, start, end));
      },
      poolSize: 8192,
    };
    const staticNames = ObjectKeys(statics);
    for (let i = 0; i < staticNames.length; i++) setOwn(Buffer, staticNames[i], statics[staticNames[i]]);

    // --- Text -------------------------------------------------------------------------------------------------------

    function toText(buffer, encoding, start, end) {
      return native.readText(buffer, encoding, start, end);
    }

    // Start and end of a range of a buffer, as Node's toString and slices by encoding clamp them.
    function clampStart(start, length) {
      if (!(start > 0)) return 0;
      return start >= length ? length : MathTrunc(start);
    }

    function clampEnd(end, length) {
      if (end === undefined || end > length) return length;
      return MathTrunc(+end) || 0;
    }

    function writeBuffer(buffer, text, offset, length, encodingName) {
      const total = lengthOf(buffer);
      if (offset === undefined) {
        return native.writeText(text, "utf8", buffer, 0, total);
      }
      if (typeof offset === "string" && length === undefined) {
        return native.writeText(text, checkedEncoding(offset), buffer, 0, total);
      }
      if (typeof offset !== "number") throw wrongType("offset", "of type number");
      if (!NumberIsInteger(offset)) throw outOfRange("offset", "an integer", offset);
      if (offset < 0 || offset > total) throw outOfRange("offset", `>= 0 && <= ${total}`, offset);
      const remaining = total - offset;
      if (typeof length === "string") {
        encodingName = length;
        length = remaining;
      } else if (length === undefined) {
        length = remaining;
      } else {
        if (typeof length !== "number") throw wrongType("length", "of type number");
        if (!NumberIsInteger(length) || length < 0) throw outOfRange("length", `an integer >= 0 && <= ${total}`, length);
        if (length > remaining) length = remaining;
      }
      return native.writeText(text, checkedEncoding(encodingName), buffer, offset, length);
    }

    // --- Searching and filling --------------------------------------------------------------------------------------

    function searchStart(length, offset, needleLength, isForward) {
      if (offset < 0) {
        if (offset + length >= 0) return length + offset;
        return isForward || needleLength === 0 ? 0 : -1;
      }
      if (offset + needleLength <= length) return offset;
      if (needleLength === 0) return length;
      return isForward ? -1 : length - 1;
    }

    function search(buffer, value, byteOffset, encodingName, isForward) {
      const length = lengthOf(buffer);
      if (typeof byteOffset === "string") {
        encodingName = byteOffset;
        byteOffset = undefined;
      }
      let offset = +byteOffset;
      if (NumberIsNaN(offset)) offset = isForward ? 0 : length;
      offset = MathTrunc(offset > LENGTH_MAX ? LENGTH_MAX : offset < -LENGTH_MAX ? -LENGTH_MAX : offset);
      if (typeof value === "number") {
        const start = searchStart(length, offset, 1, isForward);
        if (start === -1 || length === 0) return -1;
        const byte = value & 255;
        return isForward
          ? TypedArrayPrototypeIndexOf(buffer, byte, start)
          : TypedArrayPrototypeLastIndexOf(buffer, byte, start);
      }
      let needle = value;
      let step = 1;
      if (typeof value === "string") {
        const encoding = checkedEncoding(encodingName);
        needle = fromText(value, encoding);
        if (encoding === "utf16le") step = 2;
      } else if (!isBytes(value)) {
        needle = native.kindOf(value) === 0 ? undefined : prelude.bytesOf(value);
        if (needle === undefined) throw wrongType("value", "a number, a string or an instance of Buffer or Uint8Array");
      }
      const needleLength = lengthOf(needle);
      const start = searchStart(length, offset, needleLength, isForward);
      if (start === -1) return -1;
      if (needleLength === 0) return start;
      if (needleLength > length || (isForward && start + needleLength > length)) return -1;
      return native.bytesIndexOf(buffer, needle, start, isForward, step);
    }

    function fillBuffer(buffer, value, offset, end, encodingName) {
      const length = lengthOf(buffer);
      if (typeof value === "string") {
        if (offset === undefined || typeof offset === "string") {
          encodingName = offset;
          offset = 0;
          end = length;
        } else if (typeof end === "string") {
          encodingName = end;
          end = length;
        }
      }
      const start = offset === undefined ? 0 : rangeNumber("offset", offset, LENGTH_MAX);
      const stop = offset === undefined || end === undefined ? length : rangeNumber("end", end, length);
      if (start >= stop) {
        if (typeof value === "string") checkedEncoding(encodingName);
        return buffer;
      }
      const pattern = typeof value === "string" ? fromText(value, encodingName) : prelude.bytesOf(value);
      if (pattern === undefined) {
        return TypedArrayPrototypeFill(buffer, typeof value === "boolean" ? +value : value & 255, start, stop);
      }
      const patternLength = lengthOf(pattern);
      if (patternLength === 0) {
        if (typeof value === "string" && value.length === 0) return TypedArrayPrototypeFill(buffer, 0, start, stop);
        throw withCode(new TypeErrorCtor(`The argument "value" is invalid`), "ERR_INVALID_ARG_VALUE");
      }
      if (patternLength === 1) return TypedArrayPrototypeFill(buffer, pattern[0], start, stop);
      // Write the pattern once, then double what is there.
      let filled = MathMin(patternLength, stop - start);
      TypedArrayPrototypeSet(buffer, filled < patternLength ? view(pattern, 0, filled) : pattern, start);
      while (filled < stop - start) {
        const count = MathMin(filled, stop - start - filled);
        TypedArrayPrototypeCopyWithin(buffer, start + filled, start, start + count);
        filled += count;
      }
      return buffer;
    }

    function rangeNumber(name, value, max) {
      if (typeof value !== "number") throw wrongType(name, "of type number");
      if (!NumberIsInteger(value)) throw outOfRange(name, "an integer", value);
      if (value < 0 || value > max) throw outOfRange(name, `>= 0 && <= ${max}`, value);
      return value;
    }

    // An optional position for copy and compare: whole, not negative, not beyond `max` when that is given.
    function position(name, value, fallback, max) {
      if (value === undefined) return fallback;
      const number = MathTrunc(+value) || 0;
      if (number < 0 || (max !== undefined && number > max)) {
        throw outOfRange(name, max === undefined ? ">= 0" : `>= 0 && <= ${max}`, value);
      }
      return number;
    }

    function relativeIndex(value, fallback, length) {
      if (value === undefined) return fallback;
      const number = MathTrunc(+value) || 0;
      if (number < 0) return number + length > 0 ? number + length : 0;
      return number < length ? number : length;
    }

    function slice(buffer, start, end) {
      const length = lengthOf(buffer);
      const from = relativeIndex(start, 0, length);
      const to = relativeIndex(end, length, length);
      return view(buffer, from, to > from ? to : from);
    }

    function swap(buffer, width, bits) {
      const length = lengthOf(buffer);
      if (length % width !== 0) {
        throw withCode(new RangeErrorCtor(`Buffer size must be a multiple of ${bits}-bits`), "ERR_INVALID_BUFFER_SIZE");
      }
      for (let i = 0; i < length; i += width) {
        for (let low = i, high = i + width - 1; low < high; low++, high--) {
          const byte = buffer[low];
          buffer[low] = buffer[high];
          buffer[high] = byte;
        }
      }
      return buffer;
    }

    defineMethods(BufferPrototype, {
      get parent() {
        return isBuffer(this) && isBytes(this) ? TypedArrayPrototypeGetBuffer(this) : undefined;
      },
      get offset() {
        return isBuffer(this) && isBytes(this) ? TypedArrayPrototypeGetByteOffset(this) : undefined;
      },
      toString(encodingName, start, end) {
        const length = lengthOf(this);
        const from = clampStart(start, length);
        const to = clampEnd(end, length);
        return to > from ? toText(this, checkedEncoding(encodingName), from, to) : "";
      },
      toLocaleString(encodingName, start, end) {
        const length = lengthOf(this);
        const from = clampStart(start, length);
        const to = clampEnd(end, length);
        return to > from ? toText(this, checkedEncoding(encodingName), from, to) : "";
      },
      toJSON() {
        const length = lengthOf(this);
        const data = [];
        if (length > 0) data.length = length;
        for (let i = 0; i < length; i++) {
          setOwn(data, i, this[i]);
        }
        return { type: "Buffer", data };
      },
      equals(other) {
        checkBytes(other, "otherBuffer");
        return lengthOf(this) === lengthOf(other) && compareBytes(this, other) === 0;
      },
      compare(target, targetStart, targetEnd, sourceStart, sourceEnd) {
        checkBytes(target, "target");
        const fromTarget = position("targetStart", targetStart, 0);
        const toTarget = position("targetEnd", targetEnd, lengthOf(target), lengthOf(target));
        const fromSource = position("sourceStart", sourceStart, 0);
        const toSource = position("sourceEnd", sourceEnd, lengthOf(this), lengthOf(this));
        if (fromSource >= toSource) return fromTarget >= toTarget ? 0 : -1;
        if (fromTarget >= toTarget) return 1;
        return compareBytes(view(this, fromSource, toSource), view(target, fromTarget, toTarget));
      },
      indexOf(value, byteOffset, encoding) {
        return search(this, value, byteOffset, encoding, true);
      },
      lastIndexOf(value, byteOffset, encoding) {
        return search(this, value, byteOffset, encoding, false);
      },
      includes(value, byteOffset, encoding) {
        return search(this, value, byteOffset, encoding, true) !== -1;
      },
      fill(value, offset, end, encoding) {
        return fillBuffer(this, value, offset, end, encoding);
      },
      write(text, offset, length, encoding) {
        if (typeof text !== "string") throw wrongType("argument", "of type string");
        return writeBuffer(this, text, offset, length, encoding);
      },
      slice(start, end) {
        return slice(this, start, end);
      },
      subarray(start, end) {
        return slice(this, start, end);
      },
      copy(target, targetStart, sourceStart, sourceEnd) {
        checkBytes(target, "target");
        const at = position("targetStart", targetStart, 0);
        const from = position("sourceStart", sourceStart, 0, lengthOf(this));
        const to = position("sourceEnd", sourceEnd, lengthOf(this));
        const room = lengthOf(target) - at;
        const available = MathMin(to, lengthOf(this)) - from;
        const count = MathMin(room, available);
        if (count <= 0) return 0;
        TypedArrayPrototypeSet(target, view(this, from, from + count), at);
        return count;
      },
      swap16() {
        return swap(this, 2, 16);
      },
      swap32() {
        return swap(this, 4, 32);
      },
      swap64() {
        return swap(this, 8, 64);
      },
      inspect() {
        return inspect(this);
      },
      [SymbolFor("nodejs.util.inspect.custom")]() {
        return inspect(this);
      },
    });

    function inspect(buffer) {
      const shown = MathMin(50, lengthOf(buffer));
      let text = "<Buffer";
      for (let i = 0; i < shown; i++) text += ` ${toText(buffer, "hex", i, i + 1)}`;
      const more = lengthOf(buffer) - shown;
      if (more > 0) text += ` ... ${more} more byte${more > 1 ? "s" : ""}`;
      return `${text}>`;
    }

    // `utf8Slice(start, end)`, `utf8Write(text, offset, length)` and the like, which packages call directly.
    function defineByEncoding(prefix, encoding) {
      defineMethods(BufferPrototype, {
        [`${prefix}Slice`](start, end) {
          const length = lengthOf(this);
          const from = clampStart(start, length);
          const to = clampEnd(end, length);
          return to > from ? toText(this, encoding, from, to) : "";
        },
        [`${prefix}Write`](text, offset, length) {
          if (typeof text !== "string") throw wrongType("argument", "of type string");
          const at = position("offset", offset, 0, lengthOf(this));
          const room = lengthOf(this) - at;
          return native.writeText(text, encoding, this, at, MathMin(position("length", length, room), room));
        },
      });
    }
    const byEncoding = ["ascii", "base64", "base64url", "hex", "latin1", "utf8"];
    for (let i = 0; i < byEncoding.length; i++) defineByEncoding(byEncoding[i], byEncoding[i]);
    defineByEncoding("ucs2", "utf16le");

    // --- Numbers ----------------------------------------------------------------------------------------------------

    function checkedOffset(buffer, offset, width) {
      if (offset === undefined) return 0 + checkedRoom(buffer, 0, width);
      if (typeof offset !== "number") throw wrongType("offset", "of type number");
      return offset + checkedRoom(buffer, offset, width);
    }

    // Always 0: throws when `width` bytes do not fit at `offset`.
    function checkedRoom(buffer, offset, width) {
      const last = lengthOf(buffer) - width;
      if (NumberIsInteger(offset) && offset >= 0 && offset <= last) return 0;
      if (!NumberIsInteger(offset)) throw outOfRange("offset", "an integer", offset);
      if (last < 0) {
        throw withCode(new RangeErrorCtor("Attempt to access memory outside buffer bounds"), "ERR_BUFFER_OUT_OF_BOUNDS");
      }
      throw outOfRange("offset", `>= 0 and <= ${last}`, offset);
    }

    function checkedWidth(width) {
      if (typeof width !== "number") throw wrongType("byteLength", "of type number");
      if (!NumberIsInteger(width) || width < 1 || width > 6) throw outOfRange("byteLength", ">= 1 and <= 6", width);
      return width;
    }

    function readUnsigned(buffer, offset, width, isLittle) {
      const at = checkedOffset(buffer, offset, width);
      let value = 0;
      if (isLittle) for (let i = width - 1; i >= 0; i--) value = value * 256 + buffer[at + i];
      else for (let i = 0; i < width; i++) value = value * 256 + buffer[at + i];
      return value;
    }

    function readSigned(buffer, offset, width, isLittle) {
      const value = readUnsigned(buffer, offset, width, isLittle);
      const half = MathPow(2, width * 8 - 1);
      return value >= half ? value - half * 2 : value;
    }

    function writeInteger(buffer, value, offset, width, isLittle, isSigned) {
      value = +value;
      const span = MathPow(2, width * 8);
      const min = isSigned ? -span / 2 : 0;
      const max = isSigned ? span / 2 - 1 : span - 1;
      if (value > max || value < min) throw outOfRange("value", `>= ${min} and <= ${max}`, value);
      const at = checkedOffset(buffer, offset, width);
      let rest = MathTrunc(value) || 0;
      if (rest < 0) rest += span;
      for (let i = 0; i < width; i++) {
        buffer[at + (isLittle ? i : width - 1 - i)] = rest % 256;
        rest = MathFloor(rest / 256);
      }
      return at + width;
    }

    const scratchBytes = new Uint8ArrayCtor(8);
    const scratch = new DataViewCtor(TypedArrayPrototypeGetBuffer(scratchBytes));

    function load(buffer, offset, width) {
      const at = checkedOffset(buffer, offset, width);
      for (let i = 0; i < width; i++) scratchBytes[i] = buffer[at + i];
    }

    function store(buffer, offset, width) {
      const at = checkedOffset(buffer, offset, width);
      for (let i = 0; i < width; i++) buffer[at + i] = scratchBytes[i];
      return at + width;
    }

    function defineIntegers(endian, isLittle) {
      const members = {
        [`readUInt${endian}`](offset, byteLength) {
          return readUnsigned(this, requiredOffset(offset), checkedWidth(byteLength), isLittle);
        },
        [`readInt${endian}`](offset, byteLength) {
          return readSigned(this, requiredOffset(offset), checkedWidth(byteLength), isLittle);
        },
        [`writeUInt${endian}`](value, offset, byteLength) {
          return writeInteger(this, value, requiredOffset(offset), checkedWidth(byteLength), isLittle, false);
        },
        [`writeInt${endian}`](value, offset, byteLength) {
          return writeInteger(this, value, requiredOffset(offset), checkedWidth(byteLength), isLittle, true);
        },
        [`readUInt16${endian}`](offset) {
          return readUnsigned(this, offset, 2, isLittle);
        },
        [`readUInt32${endian}`](offset) {
          return readUnsigned(this, offset, 4, isLittle);
        },
        [`readInt16${endian}`](offset) {
          return readSigned(this, offset, 2, isLittle);
        },
        [`readInt32${endian}`](offset) {
          return readSigned(this, offset, 4, isLittle);
        },
        [`writeUInt16${endian}`](value, offset) {
          return writeInteger(this, value, offset, 2, isLittle, false);
        },
        [`writeUInt32${endian}`](value, offset) {
          return writeInteger(this, value, offset, 4, isLittle, false);
        },
        [`writeInt16${endian}`](value, offset) {
          return writeInteger(this, value, offset, 2, isLittle, true);
        },
        [`writeInt32${endian}`](value, offset) {
          return writeInteger(this, value, offset, 4, isLittle, true);
        },
        [`readFloat${endian}`](offset) {
          load(this, offset, 4);
          return DataViewPrototypeGetFloat32(scratch, 0, isLittle);
        },
        [`readDouble${endian}`](offset) {
          load(this, offset, 8);
          return DataViewPrototypeGetFloat64(scratch, 0, isLittle);
        },
        [`writeFloat${endian}`](value, offset) {
          DataViewPrototypeSetFloat32(scratch, 0, +value, isLittle);
          return store(this, offset, 4);
        },
        [`writeDouble${endian}`](value, offset) {
          DataViewPrototypeSetFloat64(scratch, 0, +value, isLittle);
          return store(this, offset, 8);
        },
        [`readBigInt64${endian}`](offset) {
          load(this, offset, 8);
          return DataViewPrototypeGetBigInt64(scratch, 0, isLittle);
        },
        [`readBigUInt64${endian}`](offset) {
          load(this, offset, 8);
          return DataViewPrototypeGetBigUint64(scratch, 0, isLittle);
        },
        [`writeBigInt64${endian}`](value, offset) {
          checkBigint(value, -0x8000000000000000n, 0x7fffffffffffffffn);
          DataViewPrototypeSetBigInt64(scratch, 0, value, isLittle);
          return store(this, offset, 8);
        },
        [`writeBigUInt64${endian}`](value, offset) {
          checkBigint(value, 0n, 0xffffffffffffffffn);
          DataViewPrototypeSetBigUint64(scratch, 0, value, isLittle);
          return store(this, offset, 8);
        },
      };
      defineMethods(BufferPrototype, members);
    }

    function requiredOffset(offset) {
      if (typeof offset !== "number") throw wrongType("offset", "of type number");
      return offset;
    }

    function checkBigint(value, min, max) {
      if (typeof value !== "bigint") throw wrongType("value", "of type bigint");
      if (value < min || value > max) throw outOfRange("value", `>= ${min}n and <= ${max}n`, value);
    }

    defineIntegers("LE", true);
    defineIntegers("BE", false);
    defineMethods(BufferPrototype, {
      readUInt8(offset) {
        return readUnsigned(this, offset, 1, true);
      },
      readInt8(offset) {
        return readSigned(this, offset, 1, true);
      },
      writeUInt8(value, offset) {
        return writeInteger(this, value, offset, 1, true, false);
      },
      writeInt8(value, offset) {
        return writeInteger(this, value, offset, 1, true, true);
      },
    });
    // Newer spellings of Node.
    const unsignedNames = [
      "readUInt8", "readUIntLE", "readUIntBE", "readUInt16LE", "readUInt16BE", "readUInt32LE", "readUInt32BE",
      "readBigUInt64LE", "readBigUInt64BE", "writeUInt8", "writeUIntLE", "writeUIntBE", "writeUInt16LE", "writeUInt16BE",
      "writeUInt32LE", "writeUInt32BE", "writeBigUInt64LE", "writeBigUInt64BE",
    ];
    for (let i = 0; i < unsignedNames.length; i++) {
      defineMethods(BufferPrototype, {
        [StringPrototypeReplace(unsignedNames[i], "UInt", "Uint")]: BufferPrototype[unsignedNames[i]],
      });
    }

    // A Buffer over the memory of a Uint8Array.
    const makeBuffer = (bytes) => view(bytes, 0, lengthOf(bytes));
    return { __proto__: null, Buffer, makeBuffer };
  });
})
