exports = async function () {
  const o = { a: { b: 1 }, ...{ c: 2 } };
  async function* g() { yield 1; yield 2; }
  let sum = 0; for await (const x of g()) sum += x;
  const m = /(?<year>\d{4})/u.exec("in 2021");
  class P { #x = 4; get x() { return this.#x; } }
  return [o?.a?.b, o.z ?? "none", o.c, sum, m.groups.year, new P().x, Number(2n ** 40n), 1_000, "aXbX".replaceAll("X", "-")];
};
