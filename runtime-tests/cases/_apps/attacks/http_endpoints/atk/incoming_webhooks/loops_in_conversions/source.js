exports = () => ({ a: { toBSON() { for (;;); } } });
