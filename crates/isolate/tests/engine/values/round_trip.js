// Every text is refused with an Error, or parsed into a value whose canonical form is stable.
exports = function (texts) {
  for (const text of texts) {
    let value;
    try {
      value = EJSON.parse(text);
    } catch (error) {
      if (!(error instanceof Error)) failures.push(`${text}: threw no Error`);
      continue;
    }
    const once = EJSON.stringify(value);
    const again = EJSON.stringify(EJSON.parse(once));
    if (once !== again) failures.push(`${text}: ${once} became ${again}`);
    if (value === null || typeof value !== "object") continue;
    const relaxed = EJSON.stringify(value, { relaxed: true });
    try {
      JSON.parse(relaxed);
    } catch (error) {
      failures.push(`${text}: relaxed form ${relaxed} is not JSON`);
    }
  }
  return failures;
};
