exports = async function() { for (;;) { try { while (true) {} } catch (e) {} finally { while (true) {} } } };
