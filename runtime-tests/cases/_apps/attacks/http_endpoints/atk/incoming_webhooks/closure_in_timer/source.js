exports = () => { const big = new Array(1e6).fill({}); setTimeout(() => big.length, 60000); return "sent"; };
