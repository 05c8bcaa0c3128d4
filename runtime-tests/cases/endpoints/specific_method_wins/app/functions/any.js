exports = () => "any";
