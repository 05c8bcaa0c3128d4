// The global `EJSON` (function-environment 2.5): js-bson's signatures over the walkers in Rust.
(function (prelude) {
  "use strict";

  const {
    ArrayIsArray,
    DateParse,
    ErrorCtor,
    JSONParse,
    JSONStringify,
    MathMin,
    MathTrunc,
    StringPrototypeRepeat,
    StringPrototypeSlice,
    globalThis: global,
  } = prelude.primordials;
  const { defineMethods, native, ownValue } = prelude;

  prelude.later([[global, ["EJSON"]]], () => {
    function isOptions(value) {
      return typeof value === "object" && value !== null && !ArrayIsArray(value);
    }

    // Canonical unless `relaxed` is asked for; the platform knows no other default.
    function isRelaxed(options) {
      return isOptions(options) && ownValue(options, "relaxed") === true;
    }

    // As JSON.stringify reads its third argument; undefined for none.
    function indentation(space) {
      if (typeof space === "number") {
        const width = MathMin(10, MathTrunc(space));
        return width >= 1 ? StringPrototypeRepeat(" ", width) : undefined;
      }
      return typeof space === "string" && space.length > 0 ? StringPrototypeSlice(space, 0, 10) : undefined;
    }

    function parse(text) {
      if (text === undefined) throw new ErrorCtor("EJSON.parse: expected a text, got undefined");
      return native.ejsonParse(typeof text === "string" ? text : `${text}`);
    }

    const EJSON = defineMethods(
      {},
      {
        // `options` is accepted and ignored: numbers always come back as numbers and keep their BSON type (1.10).
        parse(text, options) {
          return parse(text);
        },

        // (value), (value, options), (value, replacer), (value, replacer, space), (value, replacer, space, options)
        stringify(value, replacer, space, options) {
          if (isOptions(space)) {
            options = space;
            space = undefined;
          }
          if (isOptions(replacer)) {
            options = replacer;
            replacer = undefined;
            space = undefined;
          }
          const relaxed = isRelaxed(options);
          if (typeof replacer === "function" || ArrayIsArray(replacer)) {
            return JSONStringify(JSONParse(native.ejsonStringify(value, relaxed, undefined)), replacer, space);
          }
          return native.ejsonStringify(value, relaxed, indentation(space));
        },

        serialize(value, options) {
          return JSONParse(native.ejsonStringify(value, isRelaxed(options), undefined));
        },

        deserialize(document, options) {
          return parse(JSONStringify(document));
        },
      },
    );

    return { __proto__: null, EJSON };
  });

  // Texts of dates that are not quite ISO 8601, as JavaScript reads them.
  native.registerEntry("parseDate", DateParse);
})
