exports = function(payload, response) { response.setBody(payload.repository.html_url); };
