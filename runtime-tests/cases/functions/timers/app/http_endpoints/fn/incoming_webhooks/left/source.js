exports = function () { setTimeout(() => {}, 60000); setInterval(() => {}, 10); return 2; };
