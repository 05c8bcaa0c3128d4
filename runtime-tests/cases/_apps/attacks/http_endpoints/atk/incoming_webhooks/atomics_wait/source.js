exports = () => { if (typeof SharedArrayBuffer === "undefined") return "off"; Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); };
