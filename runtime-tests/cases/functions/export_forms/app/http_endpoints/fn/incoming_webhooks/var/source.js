var exports = () => "var";
