exports = function () { Promise.reject(new Error("logged")).catch(console.error); return "fine"; };
