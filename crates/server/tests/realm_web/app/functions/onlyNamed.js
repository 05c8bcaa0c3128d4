exports = () => "named";
