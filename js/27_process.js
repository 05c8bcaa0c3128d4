// The global `process`: what packages look at, with nothing of the host in it (function-environment 2.1).
(function (prelude) {
  "use strict";

  const {
    ArrayIsArray,
    ErrorCtor,
    NumberCtor,
    TypeErrorCtor,
    globalThis: global,
  } = prelude.primordials;
  const { defineMethods, native, setTag } = prelude;

  prelude.later([[global, ["process"]]], () => {
    function unavailable(name) {
      throw new ErrorCtor(`process.${name} is not available in functions`);
    }

    // Event methods: nothing is ever emitted.
    function on() {
      return process;
    }

    function stream(level, fd) {
      return {
        fd,
        isTTY: false,
        writable: true,
        write(text) {
          try {
            native.consoleLine(level, typeof text === "string" ? text : native.formatForConsole(text));
          } catch {
            // As for `console`: output never fails a function.
          }
          return true;
        },
        end() {},
        on() {
          return this;
        },
        once() {
          return this;
        },
        removeListener() {
          return this;
        },
      };
    }

    // Seconds and nanoseconds since an arbitrary time, or since an earlier answer.
    function hrtime(previous) {
      const now = native.monotonicNanoseconds();
      let seconds = NumberCtor(now / 1000000000n);
      let nanoseconds = NumberCtor(now % 1000000000n);
      if (previous !== undefined) {
        if (!ArrayIsArray(previous) || previous.length !== 2) {
          throw new TypeErrorCtor(`The "time" argument must be an array of two numbers`);
        }
        seconds -= previous[0];
        nanoseconds -= previous[1];
        if (nanoseconds < 0) {
          seconds -= 1;
          nanoseconds += 1000000000;
        }
      }
      return [seconds, nanoseconds];
    }
    defineMethods(hrtime, {
      bigint() {
        return native.monotonicNanoseconds();
      },
    });

    const process = {
      title: "node",
      version: "v10.18.1",
      versions: { node: "10.18.1", v8: "6.8.275.32-node.54", uv: "1.28.0", zlib: "1.2.11", modules: "64" },
      release: { name: "node" },
      arch: "x64",
      platform: "linux",
      argv: [],
      execArgv: [],
      execPath: "",
      env: {},
      pid: 1,
      ppid: 0,
      features: {},
      config: {},
      exitCode: undefined,
      hrtime,
      stdout: stream(0, 1),
      stderr: stream(2, 2),
      nextTick(callback, ...values) {
        if (typeof callback !== "function") throw new TypeErrorCtor(`The "callback" argument must be of type function`);
        prelude.runLater(callback, values);
      },
      cwd() {
        return "/";
      },
      chdir() {
        unavailable("chdir");
      },
      umask() {
        return 0o22;
      },
      uptime() {
        return NumberCtor(native.monotonicNanoseconds() / 1000000n) / 1000;
      },
      memoryUsage() {
        return { rss: 0, heapTotal: 0, heapUsed: 0, external: 0 };
      },
      cpuUsage() {
        return { user: 0, system: 0 };
      },
      emitWarning(warning) {
        prelude.console.warn(warning);
      },
      exit() {
        unavailable("exit");
      },
      abort() {
        unavailable("abort");
      },
      kill() {
        unavailable("kill");
      },
      binding() {
        unavailable("binding");
      },
      dlopen() {
        unavailable("dlopen");
      },
      on,
      once: on,
      off: on,
      addListener: on,
      prependListener: on,
      prependOnceListener: on,
      removeListener: on,
      removeAllListeners: on,
      setMaxListeners: on,
      emit() {
        return false;
      },
      listeners() {
        return [];
      },
      listenerCount() {
        return 0;
      },
      eventNames() {
        return [];
      },
    };
    setTag(process, "process");

    return { __proto__: null, process };
  });
})
