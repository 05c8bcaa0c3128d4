exports = function () { return context.functions.execute("later") instanceof Promise; };
