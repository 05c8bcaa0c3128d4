// The client of http services, and `context.http` (function-environment 5).
//
// Offers `prelude.makeHttp(authority)` for `context.http`, which is the service named "". The host reads and checks the
// fields; here the body becomes text or bytes, because only JavaScript knows the values of BSON classes.
(function (prelude) {
  "use strict";

  const { ArrayBufferIsView, ArrayBufferPrototypeGetByteLength, PromiseReject } = prelude.primordials;
  const { defineMethods, native, ownValue } = prelude;

  prelude.later([[prelude.serviceClients, ["http"]], [prelude, ["makeHttp"]]], () => {
    const KIND_BINARY = 6;
    const KIND_HANDLE = 22;

    const FIELDS = [
      "url", "scheme", "host", "domain", "path", "query", "username", "password", "digestAuth", "authUrl", "headers",
      "cookies", "form", "followRedirects",
    ];

    const invalid = (message) => prelude.serviceError(message, "InvalidParameter");

    function isBytes(value) {
      if (native.kindOf(value) === KIND_BINARY || ArrayBufferIsView(value)) return true;
      try {
        ArrayBufferPrototypeGetByteLength(value);
        return true;
      } catch {
        return false;
      }
    }

    function takeBody(values, body, asJson) {
      if (body === undefined) return;
      if (asJson) {
        values.body = native.ejsonStringify(body, true, undefined);
        values.isJson = true;
      } else if (body !== null) {
        if (typeof body !== "string" && !isBytes(body)) {
          throw invalid("http: 'body' must be a string or BSON.Binary; set encodeBodyAsJSON to send other values");
        }
        values.body = body;
      }
    }

    function send(handle, method, request) {
      try {
        const record = native.kindOf(handle) === KIND_HANDLE ? native.payloadOf(handle) : undefined;
        if (record === undefined || record.type !== "http") throw invalid("http method called on an incompatible object");
        if (typeof request !== "object" || request === null) throw invalid(`http: ${method}() takes one object`);
        const values = { __proto__: null };
        for (let i = 0; i < FIELDS.length; i++) values[FIELDS[i]] = ownValue(request, FIELDS[i]);
        takeBody(values, ownValue(request, "body"), ownValue(request, "encodeBodyAsJSON"));
        return native.callService(record.service, method, values, record.authority);
      } catch (error) {
        return PromiseReject(error);
      }
    }

    const prototype = defineMethods({}, {
      get(request) {
        return send(this, "get", request);
      },
      post(request) {
        return send(this, "post", request);
      },
      put(request) {
        return send(this, "put", request);
      },
      patch(request) {
        return send(this, "patch", request);
      },
      delete(request) {
        return send(this, "delete", request);
      },
      head(request) {
        return send(this, "head", request);
      },
    });

    const makeClient = (service, authority) =>
      native.brand({ __proto__: prototype }, KIND_HANDLE, { __proto__: null, type: "http", service, authority });
    return { __proto__: null, http: makeClient, makeHttp: (authority) => makeClient("", authority) };
  });
})
