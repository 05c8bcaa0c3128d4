// Timers and microtasks (function-environment 2.1, 1.7). The host owns the clock and decides what a pending timer
// holds open; these functions have Node's shapes.
(function (prelude) {
  "use strict";

  const { NumberCtor, ReflectApply, SymbolToPrimitive, TypeErrorCtor } =
    prelude.primordials;
  const { native, setOwn, setTag } = prelude;

  const DELAY_MS_MAX = 0x7fffffff;

  function checkCallback(callback) {
    // A text would be compiled in other runtimes; here it is refused in every form.
    if (typeof callback !== "function") {
      const error = new TypeErrorCtor(`The "callback" argument must be of type function`);
      throw setOwn(error, "code", "ERR_INVALID_CALLBACK");
    }
  }

  function delayOf(ms) {
    const delay = NumberCtor(ms);
    return delay >= 1 && delay <= DELAY_MS_MAX ? delay : 1;
  }

  class Timer {
    #id = 0;
    #callback;
    #values;
    #ms;
    #repeats;
    #refed = true;

    constructor(callback, values, ms, repeats) {
      this.#callback = callback;
      this.#values = values;
      this.#ms = ms;
      this.#repeats = repeats;
      this.#start();
    }

    #start() {
      this.#id = native.startTimer(() => this.#fire(), this.#ms, this.#repeats);
    }

    #fire() {
      if (!this.#repeats) this.#id = 0;
      ReflectApply(this.#callback, this, this.#values);
    }

    #stop() {
      if (this.#id !== 0) native.clearTimer(this.#id);
      this.#id = 0;
    }

    static stop(value) {
      if (typeof value === "object" && value !== null) {
        if (#id in value) value.#stop();
      } else if (typeof value === "number" || typeof value === "string") {
        const id = NumberCtor(value);
        if (id > 0) native.clearTimer(id);
      }
    }

    ref() {
      this.#refed = true;
      return this;
    }

    unref() {
      this.#refed = false;
      return this;
    }

    hasRef() {
      return this.#refed;
    }

    refresh() {
      this.#stop();
      this.#start();
      return this;
    }

    close() {
      this.#stop();
      return this;
    }

    [SymbolToPrimitive]() {
      return this.#id;
    }
  }
  const stop = Timer.stop;
  delete Timer.stop;

  class Timeout extends Timer {}
  class Immediate extends Timer {}
  setTag(Timeout.prototype, "Timeout");
  setTag(Immediate.prototype, "Immediate");

  // An async function of this realm: neither a patched `then` nor a patched species sees the wait.
  async function runLater(callback, values) {
    await undefined;
    ReflectApply(callback, undefined, values);
  }

  prelude.runLater = function (callback, values) {
    runLater(callback, values);
  };

  // Object literal methods have no `prototype` and are not constructors, as in Node.
  const timers = {
    setTimeout(callback, ms, ...values) {
      checkCallback(callback);
      return new Timeout(callback, values, delayOf(ms), false);
    },
    setInterval(callback, ms, ...values) {
      checkCallback(callback);
      return new Timeout(callback, values, delayOf(ms), true);
    },
    setImmediate(callback, ...values) {
      checkCallback(callback);
      return new Immediate(callback, values, 0, false);
    },
    clearTimeout(timer) {
      stop(timer);
    },
    clearInterval(timer) {
      stop(timer);
    },
    clearImmediate(timer) {
      stop(timer);
    },
    queueMicrotask(callback) {
      checkCallback(callback);
      runLater(callback, []);
    },
  };
  prelude.globals.setTimeout = timers.setTimeout;
  prelude.globals.setInterval = timers.setInterval;
  prelude.globals.setImmediate = timers.setImmediate;
  prelude.globals.clearTimeout = timers.clearTimeout;
  prelude.globals.clearInterval = timers.clearInterval;
  prelude.globals.clearImmediate = timers.clearImmediate;
  prelude.globals.queueMicrotask = timers.queueMicrotask;
})
