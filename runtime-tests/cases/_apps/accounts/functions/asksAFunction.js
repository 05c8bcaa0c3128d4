exports = () => "asked";
