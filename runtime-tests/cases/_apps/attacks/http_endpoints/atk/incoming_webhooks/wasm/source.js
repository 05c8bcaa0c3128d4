exports = () => typeof WebAssembly;
