// The global `console` (function-environment 2.4): one text line per call, counted and cut by the host.
//
// No method looks at `this`, throws, or runs user code.
(function (prelude) {
  "use strict";

  const {
    MapCtor,
    MapPrototypeDelete,
    MapPrototypeGet,
    MapPrototypeSet,
    StringCtor,
    StringPrototypeSlice,
  } = prelude.primordials;
  const { native, setTag } = prelude;

  const LOG = 0;
  const WARN = 1;
  const ERROR = 2;

  // No line is kept longer than this; the host cuts at its own, smaller limit.
  const LINE_CHARACTERS_MAX = 65536;

  function formatOne(value) {
    if (typeof value === "string") return value;
    if (typeof value === "object" ? value !== null : typeof value === "function") return native.formatForConsole(value);
    return StringCtor(value);
  }

  function formatAll(values, start) {
    let line = "";
    for (let i = start; i < values.length && line.length < LINE_CHARACTERS_MAX; i++) {
      let part;
      try {
        part = formatOne(values[i]);
      } catch {
        part = "[unprintable]";
      }
      if (part.length > LINE_CHARACTERS_MAX) part = StringPrototypeSlice(part, 0, LINE_CHARACTERS_MAX);
      line = i === start ? part : `${line} ${part}`;
    }
    return line;
  }

  function write(level, values, start) {
    try {
      native.consoleLine(level, formatAll(values, start));
    } catch {
      // Nothing a console call meets may reach the function.
    }
  }

  function labelOf(value) {
    return value === undefined ? "default" : formatOne(value);
  }

  const counts = new MapCtor();

  const console = {
    log(...values) {
      write(LOG, values, 0);
    },
    warn(...values) {
      write(WARN, values, 0);
    },
    error(...values) {
      write(ERROR, values, 0);
    },
    debug(...values) {
      write(LOG, values, 0);
    },
    info(...values) {
      write(LOG, values, 0);
    },
    trace(...values) {
      write(LOG, values, 0);
    },
    // The second argument of `dir` and `table` says how to print; we print in one way only.
    dir(value) {
      write(LOG, [value], 0);
    },
    dirxml(...values) {
      write(LOG, values, 0);
    },
    table(value) {
      write(LOG, [value], 0);
    },
    assert(condition, ...values) {
      if (condition) return;
      if (values.length === 0) write(ERROR, ["Assertion failed"], 0);
      else write(ERROR, [`Assertion failed: ${formatAll(values, 0)}`], 0);
    },
    count(label) {
      try {
        const name = labelOf(label);
        const count = (MapPrototypeGet(counts, name) || 0) + 1;
        MapPrototypeSet(counts, name, count);
        write(LOG, [`${name}: ${count}`], 0);
      } catch {
        // As in `write`.
      }
    },
    countReset(label) {
      try {
        MapPrototypeDelete(counts, labelOf(label));
      } catch {
        // As in `write`.
      }
    },
    time() {},
    timeEnd() {},
    timeLog() {},
    timeStamp() {},
    group() {},
    groupCollapsed() {},
    groupEnd() {},
    clear() {},
  };
  setTag(console, "console");

  prelude.console = console;
  prelude.globals.console = console;
})
