exports = () => { try { require("nope"); } catch (e) { return [e.message, e.code]; } };
