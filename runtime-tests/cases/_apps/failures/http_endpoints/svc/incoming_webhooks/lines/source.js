exports = function() { console.log("x".repeat(1000)); for (let i = 1; i < 30; i++) console.log("line", i); };
