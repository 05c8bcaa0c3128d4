// The global `utils` (function-environment 2.8, 2.9).
(function (prelude) {
  "use strict";

  const { globalThis: global } = prelude.primordials;

  prelude.later([[global, ["utils"]]], () => ({
    __proto__: null, utils: { crypto: prelude.crypto, jwt: prelude.jwt },
  }));
})
