exports = function(r) { r.setStatusCode(418); };
