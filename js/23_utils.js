// The global `utils` (function-environment 2.8, 2.9).
(function (prelude) {
  "use strict";

  prelude.globals.utils = { crypto: prelude.crypto, jwt: prelude.jwt };
})
