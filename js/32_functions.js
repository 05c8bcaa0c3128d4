// Evaluating sources and `context.functions.execute` (function-environment 1.1, 8).
(function (prelude) {
  "use strict";

  const { ErrorCtor, ObjectDefineProperty, ReflectApply, StringCtor, StringPrototypeSlice, StringPrototypeStartsWith,
    TypeErrorCtor } = prelude.primordials;
  const { native, ownValue } = prelude;

  // `require` of function sources. Modules come with `prelude.requireModule`; without it nothing can be found.
  function makeRequire() {
    return function require(name) {
      if (prelude.requireModule !== undefined) return prelude.requireModule(name);
      const error = new ErrorCtor(`Cannot find module '${StringCtor(name)}'`);
      ObjectDefineProperty(error, "code", {
        __proto__: null,
        value: "MODULE_NOT_FOUND",
        writable: true,
        enumerable: true,
        configurable: true,
      });
      throw error;
    };
  }

  // Evaluates the top-level code of a source in a new frame; gives what it left in `exports`.
  function evaluate(wrapper, name, authority) {
    const body = wrapper(makeRequire(), prelude.contextForFrame(authority, name));
    // Sloppy mode code gets the global object for an undefined receiver.
    const exported = ReflectApply(body, undefined, [{}]);
    if (typeof exported !== "function") {
      throw native.markError(new TypeErrorCtor("exports is not a function"), "FunctionInvalid");
    }
    return exported;
  }

  // Picks the user for frames of a function with a run-as script (8.2). The script runs as system and must answer at
  // once, because `execute` does.
  function authorityFromScript(name) {
    const wrapper = native.loadRunAsScript(name);
    const picked = ReflectApply(evaluate(wrapper, name, null), undefined, []);
    if (typeof picked === "string" && picked !== "") return picked;
    if (ownValue(picked, "runAsSystemUser") === true) return null;
    throw new ErrorCtor(`the run-as script of function '${name}' must return a user id or { runAsSystemUser: true }`);
  }

  function authorityOf(settings, name, caller) {
    if (settings === "inherit") return caller;
    if (settings === "system") return null;
    if (settings === "script") return authorityFromScript(name);
    if (StringPrototypeStartsWith(settings, "user:")) return StringPrototypeSlice(settings, 5);
    throw new TypeErrorCtor("unknown frame settings");
  }

  prelude.executeFunction = (caller, name, args) => {
    const text = typeof name === "string" ? name : StringCtor(name);
    const settings = native.frameSettings(text);
    if (settings === undefined) throw new ErrorCtor(`function not found: '${text}'`);
    if (caller !== null && !native.mayExecute(text, caller)) {
      throw new ErrorCtor(`rule not matched for function "${text}"`);
    }
    const wrapper = native.loadFunction(text);
    const exported = evaluate(wrapper, text, authorityOf(settings, text, caller));
    return ReflectApply(exported, undefined, args);
  };

  // What a run starts with: the handler, in a frame of the run's own authority.
  native.registerEntry("invoke", (wrapper, name, authority, ...args) =>
    ReflectApply(evaluate(wrapper, name, authority), undefined, args));
})
