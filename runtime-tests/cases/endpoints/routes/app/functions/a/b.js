exports = () => "ab";
