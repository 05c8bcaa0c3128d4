exports = function(m) { return [m.From, m.To, m.Body, m.NumMedia].join("|"); };
