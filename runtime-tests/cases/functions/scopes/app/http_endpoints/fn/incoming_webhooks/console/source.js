exports = function () { context.functions.execute("replaces_console"); console.log("x"); return lines; };
