exports = () => { try { while (true) {} } catch (e) { return "caught"; } };
