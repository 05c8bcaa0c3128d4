exports = () => { const f = new FinalizationRegistry(() => { for (;;); }); for (let i = 0; i < 1e5; i++) f.register({}, i); return "ok"; };
