// `rows`: [expression, what Node gave] each, in the notation of `outcome`.
exports = function (rows) {
  const bytes = (value) => Array.from(value, (byte) => (byte < 16 ? "0" : "") + byte.toString(16)).join("");
  const notation = (value) => {
    if (value instanceof Uint8Array) return (Buffer.isBuffer(value) ? "Buffer " : "Uint8Array ") + bytes(value);
    if (value === undefined) return "undefined";
    return JSON.stringify(value, (key, item) => {
      if (typeof item === "bigint") return `${item}n`;
      if (Object.is(item, -0)) return "-0";
      return typeof item === "number" && !isFinite(item) ? String(item) : item;
    });
  };
  const outcome = (expression) => {
    try {
      return notation((0, eval)(`(${expression})`));
    } catch (error) {
      return `throws ${error.name}${typeof error.code === "string" ? ` ${error.code}` : ""}`;
    }
  };
  for (const [expression, expected] of rows) same(expression, outcome(expression), expected);
  same("rows are there", rows.length > 2000, true);
  return failures;
};
