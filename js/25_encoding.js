// `TextEncoder`, `TextDecoder`, `atob` and `btoa`.
(function (prelude) {
  "use strict";

  const {
    ErrorCtor,
    ObjectDefineProperty,
    RangeErrorCtor,
    ReflectOwnKeys,
    StringPrototypeCharCodeAt,
    StringPrototypeIsWellFormed,
    StringPrototypeSlice,
    StringPrototypeToLowerCase,
    StringPrototypeToWellFormed,
    StringPrototypeTrim,
    TypeErrorCtor,
    TypedArrayPrototypeGetLength,
    TypedArrayPrototypeGetSymbolToStringTag,
    TypedArrayPrototypeSet,
    TypedArrayPrototypeSubarray,
    Uint8ArrayCtor,
    globalThis: global,
  } = prelude.primordials;
  const { native, setOwn, setTag } = prelude;

  prelude.later([[global, ["TextDecoder", "TextEncoder", "atob", "btoa"]]], () => {
    function withCode(error, code) {
      return setOwn(error, "code", code);
    }

    // --- TextEncoder ------------------------------------------------------------------------------------------------

    class TextEncoder {
      #isEncoder = true;

      get encoding() {
        return this.#isEncoder ? "utf-8" : undefined;
      }

      encode(input = "") {
        const text = `${input}`;
        const length = native.textByteLength(text, "utf8");
        const bytes = new Uint8ArrayCtor(length);
        native.writeText(text, "utf8", bytes, 0, length);
        return bytes;
      }

      encodeInto(source, destination) {
        const text = `${source}`;
        if (TypedArrayPrototypeGetSymbolToStringTag(destination) !== "Uint8Array") {
          throw new TypeErrorCtor("TextEncoder.encodeInto: the destination must be a Uint8Array");
        }
        const counts = native.encodeInto(text, destination);
        return { read: counts[0], written: counts[1] };
      }
    }

    // --- TextDecoder ------------------------------------------------------------------------------------------------

    // Labels of the Encoding standard for the encodings we decode.
    const LABELS = {
      __proto__: null,
      "unicode-1-1-utf-8": "utf-8",
      unicode11utf8: "utf-8",
      unicode20utf8: "utf-8",
      "utf-8": "utf-8",
      utf8: "utf-8",
      "x-unicode20utf8": "utf-8",
      csunicode: "utf-16le",
      "iso-10646-ucs-2": "utf-16le",
      "ucs-2": "utf-16le",
      unicode: "utf-16le",
      unicodefeff: "utf-16le",
      "utf-16": "utf-16le",
      "utf-16le": "utf-16le",
      unicodefffe: "utf-16be",
      "utf-16be": "utf-16be",
      "ansi_x3.4-1968": "windows-1252",
      ascii: "windows-1252",
      cp1252: "windows-1252",
      cp819: "windows-1252",
      csisolatin1: "windows-1252",
      ibm819: "windows-1252",
      "iso-8859-1": "windows-1252",
      "iso-ir-100": "windows-1252",
      "iso8859-1": "windows-1252",
      iso88591: "windows-1252",
      "iso_8859-1": "windows-1252",
      "iso_8859-1:1987": "windows-1252",
      l1: "windows-1252",
      latin1: "windows-1252",
      "us-ascii": "windows-1252",
      "windows-1252": "windows-1252",
      "x-cp1252": "windows-1252",
    };

    const NO_BYTES = new Uint8ArrayCtor(0);

    function joined(first, second) {
      const length = TypedArrayPrototypeGetLength(first);
      const bytes = new Uint8ArrayCtor(length + TypedArrayPrototypeGetLength(second));
      TypedArrayPrototypeSet(bytes, first, 0);
      TypedArrayPrototypeSet(bytes, second, length);
      return bytes;
    }

    // Bytes at the end that may be the start of a longer UTF-8 sequence.
    function utf8Tail(bytes, length) {
      for (let back = 1; back <= 3 && back <= length; back++) {
        const byte = bytes[length - back];
        if ((byte & 0xc0) === 0x80) continue;
        const needed = byte >= 0xf0 && byte <= 0xf4 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc2 ? 2 : 1;
        return byte <= 0xf4 && needed > back ? back : 0;
      }
      return 0;
    }

    // Bytes at the end that are half a code unit, or half a surrogate pair.
    function utf16Tail(bytes, length, highByteAt) {
      const odd = length % 2;
      const even = length - odd;
      const isHighSurrogate = even >= 2 && (bytes[even - 2 + highByteAt] & 0xfc) === 0xd8;
      return odd + (isHighSurrogate ? 2 : 0);
    }

    function swapped(bytes, length) {
      const copy = new Uint8ArrayCtor(length);
      for (let i = 0; i < length; i++) copy[i] = bytes[i ^ 1];
      return copy;
    }

    class TextDecoder {
      #encoding;
      #fatal;
      #ignoreBOM;
      #pending = NO_BYTES;
      #atStart = true;

      constructor(label = "utf-8", options = undefined) {
        const encoding = LABELS[StringPrototypeToLowerCase(StringPrototypeTrim(`${label}`))];
        if (encoding === undefined) {
          throw withCode(new RangeErrorCtor(`The "${label}" encoding is not supported`), "ERR_ENCODING_NOT_SUPPORTED");
        }
        this.#encoding = encoding;
        this.#fatal = options !== undefined && options !== null && !!options.fatal;
        this.#ignoreBOM = options !== undefined && options !== null && !!options.ignoreBOM;
      }

      get encoding() {
        return this.#encoding;
      }

      get fatal() {
        return this.#fatal;
      }

      get ignoreBOM() {
        return this.#ignoreBOM;
      }

      decode(input = undefined, options = undefined) {
        const stream = options !== undefined && options !== null && !!options.stream;
        let bytes = input === undefined ? NO_BYTES : prelude.bytesOf(input);
        if (bytes === undefined) {
          const error = new TypeErrorCtor("TextDecoder.decode: the input must be an ArrayBuffer or a view of one");
          throw withCode(error, "ERR_INVALID_ARG_TYPE");
        }
        if (TypedArrayPrototypeGetLength(this.#pending) > 0) bytes = joined(this.#pending, bytes);
        const total = TypedArrayPrototypeGetLength(bytes);
        let length = total;
        if (stream) length -= this.#tail(bytes, total);
        this.#pending = length === total ? NO_BYTES : joined(TypedArrayPrototypeSubarray(bytes, length, total), NO_BYTES);
        let text;
        try {
          text = this.#text(bytes, length);
        } catch (error) {
          this.#reset();
          throw error;
        }
        if (this.#atStart && text.length > 0) {
          this.#atStart = false;
          // No byte of windows-1252 stands for the mark.
          if (!this.#ignoreBOM && text[0] === "\ufeff") text = StringPrototypeSlice(text, 1);
        }
        if (!stream) this.#reset();
        return text;
      }

      #reset() {
        this.#pending = NO_BYTES;
        this.#atStart = true;
      }

      #tail(bytes, length) {
        if (this.#encoding === "utf-8") return utf8Tail(bytes, length);
        if (this.#encoding === "utf-16le") return utf16Tail(bytes, length, 1);
        if (this.#encoding === "utf-16be") return utf16Tail(bytes, length, 0);
        return 0;
      }

      #text(bytes, length) {
        if (this.#encoding === "utf-8") {
          const text = native.readText(bytes, this.#fatal ? "utf8strict" : "utf8", 0, length);
          if (text === undefined) throw malformed(this.#encoding);
          return text;
        }
        if (this.#encoding === "windows-1252") return native.readText(bytes, "windows1252", 0, length);
        const whole = length - (length % 2);
        const units = this.#encoding === "utf-16be" ? swapped(bytes, whole) : bytes;
        const text = native.readText(units, "utf16le", 0, whole);
        if (whole === length && StringPrototypeIsWellFormed(text)) return text;
        if (this.#fatal) throw malformed(this.#encoding);
        const wellFormed = StringPrototypeToWellFormed(text);
        // Half a unit after half a pair is one error, not two.
        const endsInHalfPair = whole > 0 && (StringPrototypeCharCodeAt(text, whole / 2 - 1) & 0xfc00) === 0xd800;
        return wellFormed + (whole === length || endsInHalfPair ? "" : "\ufffd");
      }
    }

    function malformed(encoding) {
      const error = new TypeErrorCtor(`The encoded data was not valid for encoding ${encoding}`);
      return withCode(error, "ERR_ENCODING_INVALID_ENCODED_DATA");
    }

    function finish(constructor, tag) {
      const { prototype } = constructor;
      const keys = ReflectOwnKeys(prototype);
      for (let i = 0; i < keys.length; i++) {
        if (keys[i] !== "constructor") ObjectDefineProperty(prototype, keys[i], { __proto__: null, enumerable: true });
      }
      setTag(prototype, tag);
    }
    finish(TextEncoder, "TextEncoder");
    finish(TextDecoder, "TextDecoder");

    // --- atob, btoa -------------------------------------------------------------------------------------------------

    function invalidCharacter(message) {
      const error = new ErrorCtor(message);
      ObjectDefineProperty(error, "name", {
        __proto__: null,
        value: "InvalidCharacterError",
        writable: true,
        configurable: true,
      });
      return error;
    }

    const base64 = {
      atob(data) {
        if (arguments.length === 0) throw new TypeErrorCtor("atob: 1 argument required, got 0");
        const text = native.atob(`${data}`);
        if (text === undefined) throw invalidCharacter("The string to be decoded is not correctly encoded.");
        return text;
      },
      btoa(data) {
        if (arguments.length === 0) throw new TypeErrorCtor("btoa: 1 argument required, got 0");
        const text = native.btoa(`${data}`);
        if (text === undefined) throw invalidCharacter("The string to be encoded holds characters beyond Latin-1.");
        return text;
      },
    };

    return { __proto__: null, TextDecoder, TextEncoder, atob: base64.atob, btoa: base64.btoa };
  });
})
