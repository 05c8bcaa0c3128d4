exports = () => ({ get then() { for (;;); } });
