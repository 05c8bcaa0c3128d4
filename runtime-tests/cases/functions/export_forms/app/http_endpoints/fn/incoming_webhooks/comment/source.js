exports = () => "c";
// no newline at the end
