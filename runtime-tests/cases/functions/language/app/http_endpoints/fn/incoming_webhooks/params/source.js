exports = function ({ query, body }, response) { return [query.a, body === undefined]; };
