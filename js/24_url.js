// `URL` and `URLSearchParams` of the WHATWG URL standard; parsing and the setters' rules are in Rust.
(function (prelude) {
  "use strict";

  const {
    ArrayPrototypeSort,
    MapCtor,
    MapPrototypeGet,
    MapPrototypeSet,
    ObjectDefineProperty,
    ObjectGetOwnPropertyDescriptor,
    ObjectGetPrototypeOf,
    ObjectSetPrototypeOf,
    ReflectApply,
    ReflectOwnKeys,
    StringPrototypeSlice,
    StringPrototypeToWellFormed,
    SymbolIterator,
    TypeErrorCtor,
    globalThis: global,
  } = prelude.primordials;
  const { native, setOwn, setTag } = prelude;

  // Of every built-in iterator; nothing is patched yet while this file loads.
  const IteratorPrototype = ObjectGetPrototypeOf(ObjectGetPrototypeOf([][SymbolIterator]()));

  prelude.later([[global, ["URL", "URLSearchParams"]]], () => {
    // The indices of what native.urlParse and native.urlSet give.
    const HREF = 0;
    const ORIGIN = 1;
    const PROTOCOL = 2;
    const USERNAME = 3;
    const PASSWORD = 4;
    const HOST = 5;
    const HOSTNAME = 6;
    const PORT = 7;
    const PATHNAME = 8;
    const SEARCH = 9;
    const HASH = 10;

    // A USVString argument: well-formed text.
    function text(value) {
      return StringPrototypeToWellFormed(`${value}`);
    }

    function typeError(message, code) {
      return setOwn(new TypeErrorCtor(message), "code", code);
    }

    function need(count, given, call) {
      if (given >= count) return;
      throw typeError(`${call}: ${count} argument${count === 1 ? "" : "s"} required, got ${given}`, "ERR_MISSING_ARGS");
    }

    function notATuple() {
      return typeError("Each query pair must be an iterable [name, value] tuple", "ERR_INVALID_TUPLE");
    }

    // An array without prototype: appending to it runs no setter that user code put on Array.prototype.
    function newList() {
      return ObjectSetPrototypeOf([], null);
    }

    // What an iterable yields, in a list. The iterable is the user's, and so is what it runs.
    function listOf(iterable, method) {
      const iterator = ReflectApply(method, iterable, []);
      const next = iterator.next;
      const list = newList();
      for (;;) {
        const step = ReflectApply(next, iterator, []);
        if ((typeof step !== "object" && typeof step !== "function") || step === null) {
          throw new TypeErrorCtor("an iterator result must be an object");
        }
        if (step.done) return list;
        list[list.length] = step.value;
      }
    }

    function iteratorMethod(value) {
      const method = value[SymbolIterator];
      if (method === undefined || method === null) return undefined;
      if (typeof method !== "function") throw new TypeErrorCtor("the value is not iterable");
      return method;
    }

    // Names and values in turn, from whatever a URLSearchParams can be made of.
    function pairsOf(init) {
      const pairs = newList();
      // `null` is empty as in Node, where the standard would read the text "null".
      if (init === undefined || init === null) return pairs;
      if (typeof init === "object" || typeof init === "function") {
        const method = iteratorMethod(init);
        if (method !== undefined) {
          const entries = listOf(init, method);
          for (let i = 0; i < entries.length; i++) {
            const entry = entries[i];
            if ((typeof entry !== "object" && typeof entry !== "function") || entry === null) {
              throw notATuple();
            }
            const entryMethod = iteratorMethod(entry);
            const pair = entryMethod === undefined ? newList() : listOf(entry, entryMethod);
            if (pair.length !== 2) throw notATuple();
            pairs[pairs.length] = text(pair[0]);
            pairs[pairs.length] = text(pair[1]);
          }
          return pairs;
        }
        const keys = ReflectOwnKeys(init);
        const places = new MapCtor();
        for (let i = 0; i < keys.length; i++) {
          const descriptor = ObjectGetOwnPropertyDescriptor(init, keys[i]);
          if (descriptor === undefined || !descriptor.enumerable) continue;
          const name = text(keys[i]);
          const value = text(init[keys[i]]);
          // A name that repeats after it was made well-formed replaces the value.
          let at = MapPrototypeGet(places, name);
          if (at === undefined) {
            at = pairs.length;
            MapPrototypeSet(places, name, at);
          }
          pairs[at] = name;
          pairs[at + 1] = value;
        }
        return pairs;
      }
      return parsePairs(text(init));
    }

    function parsePairs(query) {
      const start = query.length > 0 && query[0] === "?" ? 1 : 0;
      return ObjectSetPrototypeOf(native.searchParamsParse(StringPrototypeSlice(query, start)), null);
    }

    let queryChanges;
    let replacePairsOf;
    let ownedParams;
    let pairOf;
    let serialize;

    class URLSearchParams {
      #pairs;
      #url = undefined;

      constructor(init = undefined) {
        this.#pairs = pairsOf(init);
      }

      static {
        replacePairsOf = (params, query) => {
          params.#pairs = parsePairs(query);
        };
        ownedParams = (url, query) => {
          const params = new URLSearchParams();
          params.#pairs = parsePairs(query);
          params.#url = url;
          return params;
        };
        serialize = (params) => native.searchParamsSerialize(params.#pairs);
        pairOf = (params, index) => {
          const pairs = params.#pairs;
          return index * 2 < pairs.length ? [pairs[index * 2], pairs[index * 2 + 1]] : undefined;
        };
      }

      #changed() {
        if (this.#url !== undefined) queryChanges(this.#url);
      }

      get size() {
        return this.#pairs.length / 2;
      }

      append(name, value) {
        need(2, arguments.length, "URLSearchParams.append");
        name = text(name);
        value = text(value);
        const pairs = this.#pairs;
        pairs[pairs.length] = name;
        pairs[pairs.length] = value;
        this.#changed();
      }

      delete(name, value = undefined) {
        need(1, arguments.length, "URLSearchParams.delete");
        name = text(name);
        if (value !== undefined) value = text(value);
        const kept = newList();
        const pairs = this.#pairs;
        for (let i = 0; i < pairs.length; i += 2) {
          if (pairs[i] === name && (value === undefined || pairs[i + 1] === value)) continue;
          kept[kept.length] = pairs[i];
          kept[kept.length] = pairs[i + 1];
        }
        this.#pairs = kept;
        this.#changed();
      }

      get(name) {
        need(1, arguments.length, "URLSearchParams.get");
        name = text(name);
        const pairs = this.#pairs;
        for (let i = 0; i < pairs.length; i += 2) if (pairs[i] === name) return pairs[i + 1];
        return null;
      }

      getAll(name) {
        need(1, arguments.length, "URLSearchParams.getAll");
        name = text(name);
        const pairs = this.#pairs;
        const values = [];
        for (let i = 0; i < pairs.length; i += 2) {
          if (pairs[i] !== name) continue;
          setOwn(values, values.length, pairs[i + 1]);
        }
        return values;
      }

      has(name, value = undefined) {
        need(1, arguments.length, "URLSearchParams.has");
        name = text(name);
        if (value !== undefined) value = text(value);
        const pairs = this.#pairs;
        for (let i = 0; i < pairs.length; i += 2) {
          if (pairs[i] === name && (value === undefined || pairs[i + 1] === value)) return true;
        }
        return false;
      }

      set(name, value) {
        need(2, arguments.length, "URLSearchParams.set");
        name = text(name);
        value = text(value);
        const kept = newList();
        const pairs = this.#pairs;
        let found = false;
        for (let i = 0; i < pairs.length; i += 2) {
          const isNamed = pairs[i] === name;
          if (isNamed && found) continue;
          kept[kept.length] = pairs[i];
          kept[kept.length] = isNamed ? value : pairs[i + 1];
          found = found || isNamed;
        }
        if (!found) {
          kept[kept.length] = name;
          kept[kept.length] = value;
        }
        this.#pairs = kept;
        this.#changed();
      }

      sort() {
        const pairs = this.#pairs;
        const entries = newList();
        for (let i = 0; i < pairs.length; i += 2) {
          entries[i / 2] = { __proto__: null, name: pairs[i], value: pairs[i + 1] };
        }
        // Strings compare by UTF-16 code units, and V8's sort is stable: both as the standard asks.
        ArrayPrototypeSort(entries, (left, right) => (left.name < right.name ? -1 : left.name > right.name ? 1 : 0));
        const sorted = newList();
        for (let i = 0; i < entries.length; i++) {
          sorted[i * 2] = entries[i].name;
          sorted[i * 2 + 1] = entries[i].value;
        }
        this.#pairs = sorted;
        this.#changed();
      }

      forEach(callback, thisArgument = undefined) {
        if (typeof callback !== "function") throw new TypeErrorCtor("URLSearchParams.forEach: expected a function");
        for (let i = 0; i < this.#pairs.length; i += 2) {
          ReflectApply(callback, thisArgument, [this.#pairs[i + 1], this.#pairs[i], this]);
        }
      }

      entries() {
        return newIterator(this, 0);
      }

      keys() {
        return newIterator(this, 1);
      }

      values() {
        return newIterator(this, 2);
      }

      toString() {
        return native.searchParamsSerialize(this.#pairs);
      }
    }

    let newIterator;
    class SearchParamsIterator {
      #params;
      #kind;
      #index = 0;

      constructor(params, kind) {
        pairOf(params, 0);
        this.#params = params;
        this.#kind = kind;
      }

      static {
        newIterator = (params, kind) => new SearchParamsIterator(params, kind);
      }

      next() {
        const pair = pairOf(this.#params, this.#index);
        if (pair === undefined) return { value: undefined, done: true };
        this.#index++;
        return { value: this.#kind === 0 ? pair : pair[this.#kind - 1], done: false };
      }
    }
    delete SearchParamsIterator.prototype.constructor;
    ObjectSetPrototypeOf(SearchParamsIterator.prototype, IteratorPrototype);

    function parts(input, base) {
      const result =
        base === undefined ? native.urlParse(text(input), undefined) : native.urlParse(text(input), text(base));
      return result;
    }

    function invalidUrl(input) {
      const error = typeError(`Invalid URL: ${StringPrototypeSlice(`${input}`, 0, 1024)}`, "ERR_INVALID_URL");
      return setOwn(error, "input", `${input}`);
    }

    class URL {
      #current;
      #params = undefined;
      // The parameters changed since the parts were made: the query is written when somebody looks, so that many changes
      // cost one.
      #isStale = false;

      constructor(url, base = undefined) {
        need(1, arguments.length, "URL");
        const result = parts(url, base);
        if (result === undefined) throw invalidUrl(url);
        this.#current = result;
      }

      static {
        queryChanges = (url) => {
          url.#isStale = true;
        };
      }

      get #parts() {
        if (this.#isStale) {
          this.#isStale = false;
          const result = native.urlSet(this.#current[HREF], "search", serialize(this.#params));
          if (result !== undefined) this.#current = result;
        }
        return this.#current;
      }

      static canParse(url, base = undefined) {
        need(1, arguments.length, "URL.canParse");
        return parts(url, base) !== undefined;
      }

      static parse(url, base = undefined) {
        need(1, arguments.length, "URL.parse");
        return parts(url, base) === undefined ? null : new URL(url, base);
      }

      #set(part, value) {
        const result = native.urlSet(this.#parts[HREF], part, text(value));
        if (result !== undefined) this.#current = result;
      }

      #queryChanged() {
        if (this.#params !== undefined) replacePairsOf(this.#params, this.#parts[SEARCH]);
      }

      get href() {
        return this.#parts[HREF];
      }

      set href(value) {
        const result = parts(value, undefined);
        if (result === undefined) throw invalidUrl(value);
        this.#current = result;
        this.#isStale = false;
        this.#queryChanged();
      }

      get origin() {
        return this.#parts[ORIGIN];
      }

      get protocol() {
        return this.#parts[PROTOCOL];
      }

      set protocol(value) {
        this.#set("protocol", value);
      }

      get username() {
        return this.#parts[USERNAME];
      }

      set username(value) {
        this.#set("username", value);
      }

      get password() {
        return this.#parts[PASSWORD];
      }

      set password(value) {
        this.#set("password", value);
      }

      get host() {
        return this.#parts[HOST];
      }

      set host(value) {
        this.#set("host", value);
      }

      get hostname() {
        return this.#parts[HOSTNAME];
      }

      set hostname(value) {
        this.#set("hostname", value);
      }

      get port() {
        return this.#parts[PORT];
      }

      set port(value) {
        this.#set("port", value);
      }

      get pathname() {
        return this.#parts[PATHNAME];
      }

      set pathname(value) {
        this.#set("pathname", value);
      }

      get search() {
        return this.#parts[SEARCH];
      }

      set search(value) {
        this.#set("search", value);
        this.#queryChanged();
      }

      get searchParams() {
        if (this.#params === undefined) this.#params = ownedParams(this, this.#parts[SEARCH]);
        return this.#params;
      }

      get hash() {
        return this.#parts[HASH];
      }

      set hash(value) {
        this.#set("hash", value);
      }

      toString() {
        return this.#parts[HREF];
      }

      toJSON() {
        return this.#parts[HREF];
      }
    }

    // Members of web interfaces are enumerable, on the prototype.
    function finish(constructor, tag) {
      const { prototype } = constructor;
      const keys = ReflectOwnKeys(prototype);
      for (let i = 0; i < keys.length; i++) {
        if (keys[i] !== "constructor") ObjectDefineProperty(prototype, keys[i], { __proto__: null, enumerable: true });
      }
      setTag(prototype, tag);
    }
    finish(URL, "URL");
    finish(URLSearchParams, "URLSearchParams");
    finish(SearchParamsIterator, "URLSearchParams Iterator");
    ObjectDefineProperty(URLSearchParams.prototype, SymbolIterator, {
      __proto__: null,
      value: URLSearchParams.prototype.entries,
      writable: true,
      configurable: true,
    });

    return { __proto__: null, URL, URLSearchParams };
  });
})
