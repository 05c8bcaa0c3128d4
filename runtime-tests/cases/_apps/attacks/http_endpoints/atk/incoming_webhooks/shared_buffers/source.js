exports = () => typeof SharedArrayBuffer;
