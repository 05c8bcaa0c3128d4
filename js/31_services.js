// `context.services.get(name)` (function-environment 6): from a service's name to its client.
//
// Offers `prelude.getService(name, authority)` to the frame's `context`, and to the client files `prelude.serviceClients`
// (client class -> function (name, authority) that makes a handle) and `prelude.serviceError`.
(function (prelude) {
  "use strict";

  const { ErrorCtor, ObjectDefineProperty, PromiseReject } = prelude.primordials;
  const { native } = prelude;

  const clients = { __proto__: null };
  prelude.serviceClients = clients;

  function hidden(object, key, value) {
    ObjectDefineProperty(object, key, {
      __proto__: null,
      value,
      writable: true,
      enumerable: false,
      configurable: true,
    });
  }

  // An error as the host makes them (7.11); `code` is the platform's and counts when the error leaves the run uncaught.
  prelude.serviceError = (message, code, name = "Error") => {
    const error = new ErrorCtor(message);
    if (name !== "Error") hidden(error, "name", name);
    hidden(error, "error_code", code);
    return native.markError(error, code);
  };

  // The client of a service, or undefined when the app has none of that name. Never throws.
  prelude.getService = (name, authority) => {
    if (typeof name !== "string") return undefined;
    const client = native.serviceClient(name);
    if (client === undefined) return undefined;
    const make = clients[client];
    return make === undefined ? {} : make(name, authority);
  };

  // Nothing answers behind Google Cloud Messaging any more.
  const gcm = prelude.defineMethods({}, {
    send() {
      const message = "gcm: Google has shut down Google Cloud Messaging, so nothing can be sent through it";
      return PromiseReject(prelude.serviceError(message, "GCMError"));
    },
  });
  clients.gcm = () => ({ __proto__: gcm });
})
