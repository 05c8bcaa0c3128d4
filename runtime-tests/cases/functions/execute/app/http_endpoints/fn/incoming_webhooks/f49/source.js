exports = function () { return context.functions.execute("folder/hidden"); };
