// Parts of the prelude that most runs do not need are set up when a run first looks at what they define.
//
// A file takes its primordials at once, while they are sound, and hands the rest over as a function. That function may
// run after user code has patched built-ins: it must neither call nor assign anything that user code can intercept.
(function (prelude) {
  "use strict";

  const { ErrorCtor, ObjectHasOwn } = prelude.primordials;
  const { native } = prelude;

  const loaders = { __proto__: null };

  // `targets`: pairs of an object and the names `load` provides for it, as properties of the object it returns. No two
  // files use the same name. A load that fails, for want of stack, is tried again at the next look.
  prelude.later = (targets, load) => {
    let values;
    const valueOf = (name) => {
      if (values === undefined) values = load();
      return values[name];
    };
    for (let i = 0; i < targets.length; i++) {
      const names = targets[i][1];
      for (let j = 0; j < names.length; j++) {
        if (ObjectHasOwn(loaders, names[j])) throw new ErrorCtor(`${names[j]} is provided twice`);
        loaders[names[j]] = valueOf;
        native.defineLater(targets[i][0], names[j]);
      }
    }
  };

  native.registerEntry("laterValue", (name) => loaders[name](name));
})
