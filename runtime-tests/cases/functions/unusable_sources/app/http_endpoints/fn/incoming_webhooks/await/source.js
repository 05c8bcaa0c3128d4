const x = await 1; exports = () => x;
