exports = function () { context.user.id = "x"; };
