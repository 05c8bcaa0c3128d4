// The clients of services of type aws, and of the older types aws-s3 and aws-ses (function-environment 6.2).
//
// `client.s3(region)` has every action of the service as a method, by the names of the AWS API. Which of them exist is the
// host's to say, so the object is a proxy that makes a method of any capitalised name.
(function (prelude) {
  "use strict";

  const { ObjectFreeze, PromiseReject, ProxyCtor, RegExpPrototypeTest, ReflectGet } = prelude.primordials;
  const { defineMethods, native } = prelude;

  prelude.later([[prelude.serviceClients, ["aws", "aws-s3", "aws-ses"]]], () => {
    const KIND_HANDLE = 22;
    const SERVICES = [
      "athena", "batch", "cloudwatch", "comprehend", "ec2", "firehose", "glacier", "iot", "kinesis", "lambda", "lex",
      "machinelearning", "mobileanalytics", "polly", "rds", "redshift", "rekognition", "s3", "ses", "sfn", "sns", "sqs",
      "textract",
    ];
    const ACTION = /^[A-Z][A-Za-z0-9]{1,99}$/;

    const invalid = (message) => prelude.serviceError(message, "InvalidParameter");

    function callAction(record, action, region, input) {
      try {
        if (input !== undefined && (typeof input !== "object" || input === null)) {
          throw invalid(`aws: ${action}() takes one object`);
        }
        const values = { __proto__: null, region, input };
        return native.callService(record.service, action, values, record.authority);
      } catch (error) {
        return PromiseReject(error);
      }
    }

    // The URL itself, at once: nothing is sent.
    function presign(record, region, input) {
      if (typeof input !== "object" || input === null) throw invalid("aws: PresignURL() takes one object");
      const values = { __proto__: null, region, input };
      return native.callServiceBlocking(record.service, "s3:PresignURL", values, record.authority).url;
    }

    function actionsOf(record, service, region) {
      if (region !== undefined && region !== null && typeof region !== "string") {
        throw invalid(`aws: ${service}() takes the name of a region`);
      }
      return new ProxyCtor(ObjectFreeze({}), {
        __proto__: null,
        get(target, key) {
          if (typeof key !== "string" || !RegExpPrototypeTest(ACTION, key)) return ReflectGet(target, key);
          if (service === "s3" && key === "PresignURL") return (input) => presign(record, region, input);
          return (input) => callAction(record, `${service}:${key}`, region, input);
        },
      });
    }

    function recordOf(handle, type) {
      const record = native.kindOf(handle) === KIND_HANDLE ? native.payloadOf(handle) : undefined;
      if (record === undefined || record.type !== type) throw invalid(`${type} method called on an incompatible object`);
      return record;
    }

    const prototypes = { __proto__: null, aws: {}, "aws-s3": {}, "aws-ses": {} };
    for (let i = 0; i < SERVICES.length; i++) {
      const service = SERVICES[i];
      defineMethods(prototypes.aws, {
        [service](region) {
          return actionsOf(recordOf(this, "aws"), service, region);
        },
      });
    }

    const older = [["aws-s3", "put"], ["aws-s3", "signPolicy"], ["aws-ses", "send"]];
    for (let i = 0; i < older.length; i++) {
      const type = older[i][0];
      const action = older[i][1];
      defineMethods(prototypes[type], {
        [action](input) {
          try {
            return callAction(recordOf(this, type), action, undefined, input);
          } catch (error) {
            return PromiseReject(error);
          }
        },
      });
    }

    const types = ["aws", "aws-s3", "aws-ses"];
    const clients = { __proto__: null };
    for (let i = 0; i < types.length; i++) {
      const type = types[i];
      const prototype = prototypes[type];
      clients[type] = (service, authority) =>
        native.brand({ __proto__: prototype }, KIND_HANDLE, { __proto__: null, type, service, authority });
    }
    return clients;
  });
})
