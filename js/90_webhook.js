// `HTTPResponse`, the second argument of webhooks and endpoints (http-surface 5.1).
//
// What the methods set is kept by the host, so nothing else user code does to the object changes the answer.
(function (prelude) {
  "use strict";

  const { ObjectCreate, ObjectDefineProperty, SymbolToStringTag } = prelude.primordials;
  const { defineMethods, native } = prelude;

  function HTTPResponse() {
    // Callable without `new`, like the other constructors of the platform.
    return native.newResponse(new.target === undefined ? ObjectCreate(HTTPResponse.prototype) : this);
  }
  const { prototype } = HTTPResponse;

  defineMethods(prototype, {
    setStatusCode(code) {
      native.setResponseStatus(this, code);
      return this;
    },
    setBody(body) {
      native.setResponseBody(this, body);
      return this;
    },
    setHeader(name, value) {
      native.setResponseHeader(this, name, value);
      return this;
    },
    addHeader(name, value) {
      native.addResponseHeader(this, name, value);
      return this;
    },
  });
  ObjectDefineProperty(prototype, SymbolToStringTag, {
    __proto__: null,
    value: "HTTPResponse",
    writable: true,
    configurable: true,
  });

  prelude.globals.HTTPResponse = HTTPResponse;
  native.registerEntry("makeResponse", () => native.newResponse(ObjectCreate(prototype)));
})
