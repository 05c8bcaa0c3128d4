exports = () => "Hello";
