exports = () => { const a = []; for (let i = 0; ; i++) a.push(new Function("return " + i)); };
