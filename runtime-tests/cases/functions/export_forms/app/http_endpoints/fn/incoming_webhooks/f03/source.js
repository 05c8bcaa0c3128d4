exports = main; async function main(x) { return typeof x; }
