exports = () => { const v = context.values.get("theme"); const before = v.a.b; v.a.b = 99; return [before, context.values.get("theme").a.b]; };
