exports = () => { const a = []; a.length = 4294967295; a[4294967294] = 1; return a.length; };
