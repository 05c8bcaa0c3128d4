exports = () => "open";
