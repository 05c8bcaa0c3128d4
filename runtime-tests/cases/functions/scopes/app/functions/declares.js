function h() { return 1; }
exports = () => h();
