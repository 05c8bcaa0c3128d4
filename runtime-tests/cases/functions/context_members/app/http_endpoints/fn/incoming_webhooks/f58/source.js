exports = () => [typeof Deno, typeof window, typeof module, typeof fetch, typeof WebAssembly, typeof SharedArrayBuffer, typeof __bootstrap];
