exports = () => "fine";
