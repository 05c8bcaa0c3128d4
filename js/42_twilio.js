// The client of twilio services (function-environment 6.1).
(function (prelude) {
  "use strict";

  const { PromisePrototypeThen, PromiseReject } = prelude.primordials;
  const { defineMethods, native } = prelude;

  prelude.later([[prelude.serviceClients, ["twilio"]]], () => {
    const KIND_HANDLE = 22;

    const invalid = (message) => prelude.serviceError(message, "InvalidParameter");
    const nothing = () => undefined;

    const prototype = defineMethods({}, {
      send(message) {
        try {
          const record = native.kindOf(this) === KIND_HANDLE ? native.payloadOf(this) : undefined;
          if (record === undefined || record.type !== "twilio") throw invalid("send() called on an incompatible object");
          if (typeof message !== "object" || message === null) throw invalid("twilio: send() takes one object");
          const sent = native.callService(record.service, "send", { __proto__: null, message }, record.authority);
          return PromisePrototypeThen(sent, nothing);
        } catch (error) {
          return PromiseReject(error);
        }
      },
    });

    const twilio = (service, authority) =>
      native.brand({ __proto__: prototype }, KIND_HANDLE, { __proto__: null, type: "twilio", service, authority });
    return { __proto__: null, twilio };
  });
})
