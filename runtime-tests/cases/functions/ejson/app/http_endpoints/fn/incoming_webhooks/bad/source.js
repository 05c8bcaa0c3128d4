exports = () => { const out = []; for (const t of ["{", undefined, "", "{a:1}"]) { try { EJSON.parse(t); out.push("parsed"); } catch (e) { out.push(e instanceof Error); } } return out; };
