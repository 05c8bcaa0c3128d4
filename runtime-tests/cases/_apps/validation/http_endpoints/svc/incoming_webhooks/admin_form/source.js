exports = () => "ran";
