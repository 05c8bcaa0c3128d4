exports = () => { for (let i = 0; ; i++) new RegExp("a".repeat(50) + i).test("b"); };
