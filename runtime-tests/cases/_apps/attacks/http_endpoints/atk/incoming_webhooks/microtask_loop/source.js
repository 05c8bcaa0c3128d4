exports = () => { (function f() { Promise.resolve().then(f); })(); };
