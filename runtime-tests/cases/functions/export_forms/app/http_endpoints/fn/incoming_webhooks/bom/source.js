exports = () => "b";
