exports = () => { for (;;) { try { for (;;); } catch (e) {} finally { for (;;); } } };
