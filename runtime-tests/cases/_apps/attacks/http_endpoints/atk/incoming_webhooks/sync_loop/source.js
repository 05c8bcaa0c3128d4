exports = () => { while (true) {} };
