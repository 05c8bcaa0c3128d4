exports = function () { return new Function("context", "return context.values.get('v');")(context); };
