exports = () => { Error.prepareStackTrace = () => { for (;;); }; const e = new Error("x"); e.toString = () => { for (;;); }; Object.defineProperty(e, "message", { get() { for (;;); } }); throw e; };
