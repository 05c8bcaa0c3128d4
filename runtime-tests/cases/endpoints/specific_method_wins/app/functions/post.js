exports = () => "post";
