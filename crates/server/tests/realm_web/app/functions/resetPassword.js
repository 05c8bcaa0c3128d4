exports = ({ username, password, currentPasswordValid }, answer) => ({
    status: answer === "forty-two" ? "success" : "fail",
});
