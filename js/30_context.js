// The per-frame `context` object (function-environment 2.2, 2.3).
//
// One shared object per run holds what all frames see, also what user code adds. A frame's `context` is a proxy of it
// that differs in the members bound to the frame's authority. Authority is null for system and a user's id otherwise;
// user code never holds it.
(function (prelude) {
  "use strict";

  const { ObjectHasOwn, ProxyCtor, ReflectGet, ReflectGetOwnPropertyDescriptor, TypeErrorCtor } = prelude.primordials;
  const { defineMethods, native } = prelude;

  // Stand for the members that differ per frame. They are on the shared object so that `in`, `Object.keys` and spread
  // see them, and so that user code can replace them for the whole run.
  const functionsMark = { __proto__: null };
  const servicesMark = { __proto__: null };
  const httpMark = { __proto__: null };
  const runningAsSystemMark = { __proto__: null };

  let shared;

  function sharedContext() {
    if (shared === undefined) {
      shared = {
        app: native.appData(),
        environment: { tag: native.environmentTag(), values: native.environmentValues() },
        functions: functionsMark,
        http: httpMark,
        request: native.requestData(),
        runningAsSystem: runningAsSystemMark,
        services: servicesMark,
        user: native.userData(),
        values: defineMethods({}, {
          get(name) {
            return native.appValue(name);
          },
        }),
      };
    }
    return shared;
  }

  class Frame {
    #authority;
    #functions;
    #services;
    #http;
    #runningAsSystem;

    constructor(authority) {
      this.#authority = authority;
    }

    get functions() {
      const authority = this.#authority;
      return (this.#functions ??= defineMethods({}, {
        execute(name, ...args) {
          return prelude.executeFunction(authority, name, args);
        },
      }));
    }

    get services() {
      const authority = this.#authority;
      return (this.#services ??= defineMethods({}, {
        get(name) {
          return prelude.getService === undefined ? undefined : prelude.getService(name, authority);
        },
      }));
    }

    get http() {
      if (this.#http === undefined && prelude.makeHttp !== undefined) this.#http = prelude.makeHttp(this.#authority);
      return this.#http;
    }

    get runningAsSystem() {
      const authority = this.#authority;
      return (this.#runningAsSystem ??= { runningAsSystem() { return authority === null; } }.runningAsSystem);
    }
  }

  // Makes the `context` of a frame. The name is that of the function whose source the frame evaluates.
  prelude.contextForFrame = (authority, functionName) => {
    if (authority !== null && typeof authority !== "string") throw new TypeErrorCtor("a frame needs an authority");
    const frame = new Frame(authority);
    return new ProxyCtor(sharedContext(), {
      __proto__: null,
      get(target, key) {
        const value = ReflectGet(target, key);
        if (value === functionsMark) return frame.functions;
        if (value === servicesMark) return frame.services;
        if (value === httpMark) return frame.http;
        if (value === runningAsSystemMark) return frame.runningAsSystem;
        return value;
      },
      getOwnPropertyDescriptor(target, key) {
        const descriptor = ReflectGetOwnPropertyDescriptor(target, key);
        if (descriptor === undefined || !ObjectHasOwn(descriptor, "value")) return descriptor;
        const { value } = descriptor;
        if (value === functionsMark) descriptor.value = frame.functions;
        else if (value === servicesMark) descriptor.value = frame.services;
        else if (value === httpMark) descriptor.value = frame.http;
        else if (value === runningAsSystemMark) descriptor.value = frame.runningAsSystem;
        return descriptor;
      },
      // A frozen object would have to show every frame the same members.
      preventExtensions() {
        return false;
      },
    });
  };
})
