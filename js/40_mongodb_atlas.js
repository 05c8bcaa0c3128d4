// The client of MongoDB services (function-environment 7): client, database, collection, cursor, bulk builder, session.
//
// Handles are ordinary extensible objects without own properties; what they stand for is in a record behind a brand
// (kind 22, cursors 20). Shapes of results are made by the host (crates/services/src/mongodb_atlas), which also checks the
// types of arguments; here is what needs JavaScript values: defaults, chaining, laziness, order.
//
// Every operation starts when it is called; cursors start at their first pull. Argument errors reject. Operations of one
// session run one after another, in the order of their calls.
(function (prelude) {
  "use strict";

  const {
    ArrayIsArray,
    ArrayPrototypePush,
    AsyncIteratorPrototype,
    DateNow,
    ObjectKeys,
    PromisePrototypeThen,
    PromiseReject,
    PromiseResolve,
    ReflectApply,
    StringPrototypeStartsWith,
    SymbolAsyncIterator,
    TypeErrorCtor,
  } = prelude.primordials;
  const { defineMethods, native, ownValue } = prelude;

  prelude.later([[prelude.serviceClients, ["mongodb-atlas", "mongodb", "datalake"]], [prelude, ["materializeCursor"]]], () => {
    const KIND_CURSOR = 20;
    const KIND_HANDLE = 22;

    const invalid = (message) => prelude.serviceError(message, "InvalidParameter", "MongoError");
    const identity = (value) => value;
    const nothing = () => {};

    // -- Handles ---------------------------------------------------------------------------------------------------------

    const makeHandle = (prototype, record) => native.brand({ __proto__: prototype }, KIND_HANDLE, record);

    // The record behind a handle. Throws when a method was taken off its object.
    function recordOf(handle, type) {
      if (native.kindOf(handle) === KIND_HANDLE) {
        const record = native.payloadOf(handle);
        if (record.type === type) return record;
      }
      throw new TypeErrorCtor(`${type} method called on an incompatible object`);
    }

    function cursorOf(handle) {
      if (native.kindOf(handle) === KIND_CURSOR) return native.payloadOf(handle);
      throw new TypeErrorCtor("cursor method called on an incompatible object");
    }

    // Runs the start of an operation; what it throws becomes a rejection.
    function begin(start) {
      try {
        return start();
      } catch (error) {
        return PromiseReject(error);
      }
    }

    // -- Options ---------------------------------------------------------------------------------------------------------

    const FIND_OPTIONS = [
      "projection", "sort", "limit", "skip", "batchSize", "hint", "collation", "maxTimeMS", "readConcern", "comment", "let",
      "allowDiskUse", "min", "max", "returnKey", "showRecordId",
    ];
    const COUNT_OPTIONS = ["limit", "skip", "hint", "collation", "maxTimeMS", "readConcern", "comment"];
    const DISTINCT_OPTIONS = ["collation", "maxTimeMS", "readConcern", "hint", "comment"];
    const AGGREGATE_OPTIONS = [
      "allowDiskUse", "batchSize", "bypassDocumentValidation", "collation", "comment", "enforceReadPref", "hint", "let",
      "maxTimeMS", "readConcern", "writeConcern",
    ];
    const INSERT_OPTIONS = ["bypassDocumentValidation", "comment", "ordered", "writeConcern"];
    const UPDATE_OPTIONS = [
      "arrayFilters", "bypassDocumentValidation", "collation", "comment", "hint", "let", "upsert", "writeConcern",
    ];
    const DELETE_OPTIONS = ["collation", "comment", "hint", "let", "writeConcern"];
    const FIND_AND_MODIFY_OPTIONS = [
      "arrayFilters", "bypassDocumentValidation", "collation", "comment", "hint", "let", "maxTimeMS", "projection",
      "returnNewDocument", "sort", "upsert", "writeConcern",
    ];
    const BULK_OPTIONS = ["bypassDocumentValidation", "comment", "let", "ordered", "writeConcern"];
    const SESSION_OPTIONS = ["causalConsistency", "snapshot"];
    const TRANSACTION_OPTIONS = ["maxCommitTimeMS", "maxTimeMS", "readConcern", "readPreference", "writeConcern"];

    // The options named, as a record of their own; others are ignored (7.2).
    function pick(options, names) {
      const picked = { __proto__: null };
      if (options === undefined || options === null) return picked;
      if (typeof options !== "object") throw invalid("options must be an object");
      for (let i = 0; i < names.length; i++) {
        const name = names[i];
        const value = ownValue(options, name);
        if (value !== undefined && value !== null) picked[name] = value;
      }
      return picked;
    }

    // The session an operation joins, or undefined.
    function sessionOf(options, target) {
      const handle = ownValue(options, "session");
      if (handle === undefined || handle === null) return undefined;
      if (native.kindOf(handle) !== KIND_HANDLE || native.payloadOf(handle).type !== "session") {
        throw invalid("options.session must be a session of startSession()");
      }
      const session = native.payloadOf(handle);
      if (session.service !== target.service) throw invalid("options.session belongs to another service");
      if (session.ended) throw sessionEnded();
      return session;
    }

    const OPTION_NAMES = {
      __proto__: null,
      projection: true, sort: true, limit: true, skip: true, session: true, hint: true, collation: true, maxTimeMS: true,
      batchSize: true, readConcern: true, comment: true,
    };

    function hasOperatorKey(object) {
      const keys = ObjectKeys(object);
      for (let i = 0; i < keys.length; i++) {
        if (StringPrototypeStartsWith(keys[i], "$")) return true;
      }
      return false;
    }

    // Whether the second argument of find and findOne is an options object and not a projection (7.4).
    function isOptionsObject(value) {
      if (typeof value !== "object" || value === null) return false;
      const keys = ObjectKeys(value);
      let isCertain = false;
      for (let i = 0; i < keys.length; i++) {
        const key = keys[i];
        if (OPTION_NAMES[key] !== true) return false;
        const option = value[key];
        switch (key) {
          case "projection":
          case "sort":
          case "session":
          case "collation":
          case "hint":
            if (typeof option === "object" && option !== null && !hasOperatorKey(option)) isCertain = true;
            break;
          case "limit":
          case "skip":
          case "maxTimeMS":
          case "batchSize":
            if (typeof option === "number" && option !== 0 && option !== 1) isCertain = true;
            break;
        }
      }
      return isCertain;
    }

    // Projection and options of find and findOne as one options record, with the session apart.
    function findArguments(target, projection, options) {
      if (options === undefined && isOptionsObject(projection)) {
        options = projection;
        projection = undefined;
      }
      const picked = pick(options, FIND_OPTIONS);
      if (projection !== undefined && projection !== null) picked.projection = projection;
      return { __proto__: null, options: picked, session: sessionOf(options, target) };
    }

    // Sort orders as `{a: 1}`, `"a"`, `["a", "b"]` or `[["a", 1], ["b", -1]]`.
    function sortOrder(order, direction) {
      if (typeof order === "string") return { __proto__: null, [order]: direction === undefined ? 1 : direction };
      if (!ArrayIsArray(order)) return order;
      const normalised = { __proto__: null };
      for (let i = 0; i < order.length; i++) {
        const entry = order[i];
        if (ArrayIsArray(entry)) normalised[entry[0]] = entry[1];
        else normalised[entry] = 1;
      }
      return normalised;
    }

    // -- Order -----------------------------------------------------------------------------------------------------------

    // Runs after everything queued before on the same owner. The promise given is a derived one, so that a failure nobody
    // handles still counts as unhandled.
    function enqueue(owner, run) {
      const inner = owner.tail === undefined ? run() : PromisePrototypeThen(owner.tail, run, run);
      const done = () => {
        if (owner.tail === tail) owner.tail = undefined;
      };
      const tail = PromisePrototypeThen(inner, done, done);
      owner.tail = tail;
      return PromisePrototypeThen(inner, identity);
    }

    // One action on the target's service, inside the session when there is one.
    function operate(target, action, values, session) {
      if (session === undefined) return native.callService(target.service, action, values, target.authority);
      values.session = sessionArgument(session);
      return enqueue(session, () => native.callService(target.service, action, values, target.authority));
    }

    const valueOfReply = (reply) => ownValue(reply, "value");
    const operateForValue = (target, action, values, session) =>
      PromisePrototypeThen(operate(target, action, values, session), valueOfReply);

    // -- Sessions (7.8) --------------------------------------------------------------------------------------------------

    const NONE = 0;
    const STARTING = 1;
    const IN_PROGRESS = 2;
    const COMMITTED = 3;
    const COMMITTED_EMPTY = 4;
    const ABORTED = 5;

    // How long withTransaction goes on trying, as drivers do.
    const TRANSACTION_RETRY_MS = 120000;
    const CODE_MAX_TIME_EXPIRED = 50;

    let lastSessionId = 0;

    const sessionEnded = () => invalid("Cannot use a session that has ended");
    const inTransaction = (session) => session.state === STARTING || session.state === IN_PROGRESS;

    // What a call tells the host about its session; notes that the transaction now has an operation.
    function sessionArgument(session) {
      if (session.state === STARTING) session.state = IN_PROGRESS;
      else if (session.state !== IN_PROGRESS) session.state = NONE;
      session.isUsed = true;
      return {
        __proto__: null,
        id: session.id,
        options: session.options,
        transaction: session.state === IN_PROGRESS ? session.transaction : undefined,
      };
    }

    // A call about the session itself.
    function sessionCall(session, action) {
      const values = {
        __proto__: null,
        session: { __proto__: null, id: session.id, transaction: session.transaction },
      };
      const call = () => native.callService(session.service, action, values, session.authority);
      return PromisePrototypeThen(enqueue(session, call), nothing);
    }

    function startTransaction(session, options, attempt) {
      if (session.ended) throw sessionEnded();
      if (inTransaction(session)) throw invalid("Transaction already in progress");
      const picked = pick(options === undefined ? session.transactionDefaults : options, TRANSACTION_OPTIONS);
      const preference = picked.readPreference;
      if (typeof preference === "object") picked.readPreference = ownValue(preference, "mode");
      session.transaction = { __proto__: null, number: ++session.lastTransaction, attempt, options: picked };
      session.state = STARTING;
    }

    function commitTransaction(session) {
      if (session.ended) throw sessionEnded();
      switch (session.state) {
        case STARTING:
          session.state = COMMITTED_EMPTY;
          return PromiseResolve();
        case COMMITTED_EMPTY:
          return PromiseResolve();
        case IN_PROGRESS:
        case COMMITTED:
          session.state = COMMITTED;
          return sessionCall(session, "commitTransaction");
        case ABORTED:
          throw invalid("Cannot call commitTransaction after calling abortTransaction");
        default:
          throw invalid("No transaction started");
      }
    }

    // Resolves quietly when nothing is in progress.
    function abortTransaction(session) {
      const { state } = session;
      if (state !== STARTING && state !== IN_PROGRESS) return PromiseResolve();
      session.state = ABORTED;
      return state === STARTING ? PromiseResolve() : sessionCall(session, "abortTransaction");
    }

    function hasLabel(error, label) {
      const labels = ownValue(error, "errorLabels");
      if (!ArrayIsArray(labels)) return false;
      for (let i = 0; i < labels.length; i++) {
        if (labels[i] === label) return true;
      }
      return false;
    }

    async function withTransaction(session, handle, callback, options) {
      const deadline = DateNow() + TRANSACTION_RETRY_MS;
      for (let attempt = 0; ; attempt++) {
        startTransaction(session, options, attempt);
        let value;
        try {
          value = await callback(handle);
        } catch (error) {
          if (inTransaction(session)) {
            try {
              await abortTransaction(session);
            } catch {
              // The server gives up the transaction by itself; the callback's error is what counts.
            }
          }
          if (hasLabel(error, "TransientTransactionError") && DateNow() < deadline) continue;
          throw error;
        }
        // The callback may have committed or aborted by itself.
        if (!inTransaction(session)) return value;
        for (;;) {
          try {
            await commitTransaction(session);
            return value;
          } catch (error) {
            if (DateNow() >= deadline) throw error;
            const isUnknown = hasLabel(error, "UnknownTransactionCommitResult");
            if (isUnknown && ownValue(error, "code") !== CODE_MAX_TIME_EXPIRED) continue;
            if (hasLabel(error, "TransientTransactionError")) break;
            throw error;
          }
        }
      }
    }

    const sessionPrototype = defineMethods({}, {
      startTransaction(options) {
        startTransaction(recordOf(this, "session"), options, 0);
      },
      commitTransaction() {
        return begin(() => commitTransaction(recordOf(this, "session")));
      },
      abortTransaction() {
        return begin(() => abortTransaction(recordOf(this, "session")));
      },
      endSession() {
        return begin(() => {
          const session = recordOf(this, "session");
          if (session.ended) return PromiseResolve();
          session.ended = true;
          session.state = NONE;
          return session.isUsed ? sessionCall(session, "endSession") : PromiseResolve();
        });
      },
      withTransaction(callback, options) {
        return begin(() => {
          const session = recordOf(this, "session");
          if (typeof callback !== "function") throw invalid("withTransaction: the callback must be a function");
          return withTransaction(session, this, callback, options);
        });
      },
      inTransaction() {
        return inTransaction(recordOf(this, "session"));
      },
      get hasEnded() {
        return recordOf(this, "session").ended;
      },
    });

    function makeSession(target, options) {
      return makeHandle(sessionPrototype, {
        __proto__: null,
        type: "session",
        service: target.service,
        authority: target.authority,
        id: ++lastSessionId,
        options: pick(options, SESSION_OPTIONS),
        transactionDefaults: ownValue(options, "defaultTransactionOptions"),
        state: NONE,
        transaction: undefined,
        lastTransaction: 0,
        isUsed: false,
        ended: false,
        tail: undefined,
      });
    }

    // -- Cursors (7.5) ---------------------------------------------------------------------------------------------------

    function makeCursor(target, action, values, options, session) {
      return native.brand({ __proto__: cursorPrototype }, KIND_CURSOR, {
        __proto__: null,
        target,
        action,
        values,
        options,
        session,
        stages: undefined,
        transform: undefined,
        isStarted: false,
        id: 0,
        batch: undefined,
        position: 0,
        tail: undefined,
      });
    }

    const hasBuffered = (cursor) => cursor.batch !== undefined && cursor.position < cursor.batch.length;
    const isExhausted = (cursor) => cursor.isStarted && cursor.id === 0 && !hasBuffered(cursor);

    function finish(cursor) {
      cursor.isStarted = true;
      cursor.id = 0;
      cursor.batch = undefined;
    }

    // The next batch of the server. Only called when the one before is used up and the cursor is not exhausted.
    function load(cursor) {
      const { target, session } = cursor;
      let reply;
      if (cursor.isStarted) {
        const values = { __proto__: null, cursor: cursor.id };
        const call = () => native.callService(target.service, "getMore", values, target.authority);
        reply = session === undefined ? call() : enqueue(session, call);
      } else {
        cursor.isStarted = true;
        const { values, stages } = cursor;
        values.options = cursor.options;
        if (stages !== undefined) values.pipeline = withStages(values.pipeline, stages);
        reply = operate(target, cursor.action, values, session);
      }
      return PromisePrototypeThen(
        reply,
        (reply) => {
          cursor.id = ownValue(reply, "cursor");
          cursor.batch = ownValue(reply, "documents");
          cursor.position = 0;
        },
        (error) => {
          finish(cursor);
          throw error;
        },
      );
    }

    function withStages(pipeline, stages) {
      const all = [];
      for (let i = 0; i < pipeline.length; i++) ArrayPrototypePush(all, pipeline[i]);
      for (let i = 0; i < stages.length; i++) ArrayPrototypePush(all, stages[i]);
      return all;
    }

    // Whether a document is buffered, after fetching as many batches as that takes.
    async function fill(cursor) {
      while (!hasBuffered(cursor)) {
        if (isExhausted(cursor)) {
          cursor.batch = undefined;
          return false;
        }
        await load(cursor);
      }
      return true;
    }

    async function pullNext(cursor) {
      if (!(await fill(cursor))) return undefined;
      const document = cursor.batch[cursor.position++];
      return cursor.transform === undefined ? document : cursor.transform(document);
    }

    async function pullAll(cursor) {
      let all = [];
      while (await fill(cursor)) {
        const { batch, transform } = cursor;
        if (all.length === 0 && cursor.position === 0 && transform === undefined) {
          all = batch;
        } else {
          for (let i = cursor.position; i < batch.length; i++) {
            ArrayPrototypePush(all, transform === undefined ? batch[i] : transform(batch[i]));
          }
        }
        cursor.batch = undefined;
      }
      return all;
    }

    const next = (cursor) => enqueue(cursor, () => pullNext(cursor));
    const toArray = (cursor) => enqueue(cursor, () => pullAll(cursor));

    function close(cursor) {
      const { id, isStarted } = cursor;
      finish(cursor);
      if (!isStarted || id === 0) return PromiseResolve();
      const values = { __proto__: null, cursor: id };
      const { target } = cursor;
      return PromisePrototypeThen(native.callService(target.service, "killCursor", values, target.authority), nothing);
    }

    async function forEach(cursor, callback) {
      for (;;) {
        if (!(await enqueue(cursor, () => fill(cursor)))) return;
        const result = await callback(await next(cursor));
        if (result === false) return;
      }
    }

    // The cursor, if its query may still be changed.
    function pending(handle, method) {
      const cursor = cursorOf(handle);
      if (cursor.isStarted) throw invalid(`${method}: the cursor has been iterated already`);
      return cursor;
    }

    function addStage(cursor, name, value) {
      if (cursor.stages === undefined) cursor.stages = [];
      ArrayPrototypePush(cursor.stages, { __proto__: null, [name]: value });
    }

    // `sort`, `limit` and `skip` of an aggregation are stages at its end.
    function change(handle, method, stage, value) {
      const cursor = pending(handle, method);
      if (value === undefined || value === null) return handle;
      if (cursor.action === "find") cursor.options[method === "project" ? "projection" : method] = value;
      else if (stage !== "$limit" || value !== 0) addStage(cursor, stage, value);
      return handle;
    }

    function setOption(handle, name, value) {
      pending(handle, name).options[name] = value;
      return handle;
    }

    const iteratorPrototype = defineMethods({ __proto__: AsyncIteratorPrototype }, {
      next() {
        return begin(() => {
          const { cursor } = recordOf(this, "iterator");
          return PromisePrototypeThen(next(cursor), (value) => ({ value, done: value === undefined }));
        });
      },
      return(value) {
        return begin(() => {
          const { cursor } = recordOf(this, "iterator");
          return PromisePrototypeThen(close(cursor), () => ({ value, done: true }));
        });
      },
    });

    const cursorPrototype = defineMethods({}, {
      next() {
        return begin(() => next(cursorOf(this)));
      },
      toArray() {
        return begin(() => toArray(cursorOf(this)));
      },
      hasNext() {
        return begin(() => {
          const cursor = cursorOf(this);
          return enqueue(cursor, () => fill(cursor));
        });
      },
      forEach(callback) {
        return begin(() => {
          const cursor = cursorOf(this);
          if (typeof callback !== "function") throw invalid("forEach: the callback must be a function");
          return forEach(cursor, callback);
        });
      },
      map(callback) {
        const cursor = pending(this, "map");
        if (typeof callback !== "function") throw invalid("map: the callback must be a function");
        const before = cursor.transform;
        cursor.transform = before === undefined ? (document) => callback(document) : (document) => callback(before(document));
        return this;
      },
      count() {
        return begin(() => {
          const cursor = cursorOf(this);
          if (cursor.action !== "find") throw invalid("count: an aggregation counts with a $count stage");
          const { db, collection, filter } = cursor.values;
          const options = pick(cursor.options, COUNT_OPTIONS);
          return operateForValue(cursor.target, "count", { __proto__: null, db, collection, filter, options }, cursor.session);
        });
      },
      close() {
        return begin(() => close(cursorOf(this)));
      },
      isExhausted() {
        return isExhausted(cursorOf(this));
      },
      sort(order, direction) {
        return change(this, "sort", "$sort", sortOrder(order, direction));
      },
      limit(count) {
        return change(this, "limit", "$limit", count);
      },
      skip(count) {
        return change(this, "skip", "$skip", count);
      },
      project(projection) {
        return change(this, "project", "$project", projection);
      },
      batchSize(count) {
        return setOption(this, "batchSize", count);
      },
      collation(collation) {
        return setOption(this, "collation", collation);
      },
      hint(hint) {
        return setOption(this, "hint", hint);
      },
      maxTimeMS(time) {
        return setOption(this, "maxTimeMS", time);
      },
      [SymbolAsyncIterator]() {
        return makeHandle(iteratorPrototype, { __proto__: null, type: "iterator", cursor: cursorOf(this) });
      },
    });

    // For results that hold cursors (1.6): a promise of the remaining documents.
    const materializeCursor = (handle) => toArray(cursorOf(handle));

    // -- Bulk writes (7.7) -----------------------------------------------------------------------------------------------

    const NO_OPERATIONS = "Failed to execute bulk writes: no operations specified";

    // Operations in the host's form: filters stand apart, named by index.
    const makeBatch = () => ({ __proto__: null, operations: [], filters: [] });

    function addFiltered(batch, kind, filter, details) {
      const operation = { __proto__: null, kind, filter: batch.filters.length };
      ArrayPrototypePush(batch.filters, filter === undefined || filter === null ? { __proto__: null } : filter);
      const names = ["update", "replacement", "upsert", "arrayFilters", "collation", "hint"];
      for (let i = 0; i < names.length; i++) {
        const value = details[names[i]];
        if (value !== undefined && value !== null) operation[names[i]] = value;
      }
      ArrayPrototypePush(batch.operations, operation);
    }

    function addInsert(batch, document) {
      ArrayPrototypePush(batch.operations, { __proto__: null, kind: "insertOne", document });
    }

    // One element of bulkWrite's list.
    function addOperation(batch, operation, index) {
      const keys = typeof operation === "object" && operation !== null ? ObjectKeys(operation) : [];
      const kind = keys.length === 1 ? keys[0] : undefined;
      const body = kind === undefined ? undefined : operation[kind];
      if (typeof body !== "object" || body === null) {
        throw invalid(`bulkWrite: operation ${index} must be an object with one of insertOne, updateOne, updateMany, ` +
          "replaceOne, deleteOne, deleteMany");
      }
      switch (kind) {
        case "insertOne": {
          const fields = ObjectKeys(body);
          const wrapped = fields.length === 1 && fields[0] === "document" ? body.document : undefined;
          addInsert(batch, typeof wrapped === "object" && wrapped !== null ? wrapped : body);
          return;
        }
        case "updateOne":
        case "updateMany":
        case "replaceOne":
        case "deleteOne":
        case "deleteMany": {
          const filter = ownValue(body, "filter");
          // A misspelt filter must not become "everything".
          if (filter === undefined || filter === null) throw invalid(`bulkWrite: operation ${index} (${kind}) needs a filter`);
          addFiltered(batch, kind, filter, {
            __proto__: null,
            update: ownValue(body, "update"),
            replacement: ownValue(body, "replacement"),
            upsert: ownValue(body, "upsert"),
            arrayFilters: ownValue(body, "arrayFilters"),
            collation: ownValue(body, "collation"),
            hint: ownValue(body, "hint"),
          });
          return;
        }
        default:
          throw invalid(`bulkWrite: operation ${index} has the unknown kind '${kind}'`);
      }
    }

    function executeBatch(target, batch, ordered, options) {
      if (batch.operations.length === 0) throw invalid(NO_OPERATIONS);
      const picked = pick(options, BULK_OPTIONS);
      if (ordered !== undefined) picked.ordered = ordered;
      const values = operationValues(target);
      values.operations = batch.operations;
      values.filter = batch.filters;
      values.options = picked;
      return operate(target, "bulkWrite", values, sessionOf(options, target));
    }

    // Queues one operation of a find view and gives the builder back.
    function queue(handle, kind, name, value) {
      const view = recordOf(handle, "bulk find");
      const { bulk } = view;
      addFiltered(recordOf(bulk, "bulk").batch, kind, view.filter, {
        __proto__: null,
        [name]: value,
        upsert: kind === "deleteOne" || kind === "deleteMany" ? undefined : view.upsert,
        arrayFilters: view.arrayFilters,
        collation: view.collation,
        hint: view.hint,
      });
      return bulk;
    }

    function refine(handle, name, value) {
      recordOf(handle, "bulk find")[name] = value;
      return handle;
    }

    const bulkFindPrototype = defineMethods({}, {
      upsert() {
        return refine(this, "upsert", true);
      },
      arrayFilters(filters) {
        return refine(this, "arrayFilters", filters);
      },
      collation(collation) {
        return refine(this, "collation", collation);
      },
      hint(hint) {
        return refine(this, "hint", hint);
      },
      updateOne(update) {
        return queue(this, "updateOne", "update", update);
      },
      update(update) {
        return queue(this, "updateMany", "update", update);
      },
      replaceOne(replacement) {
        return queue(this, "replaceOne", "replacement", replacement);
      },
      remove() {
        return queue(this, "deleteMany");
      },
      delete() {
        return queue(this, "deleteMany");
      },
      removeOne() {
        return queue(this, "deleteOne");
      },
      deleteOne() {
        return queue(this, "deleteOne");
      },
    });

    const bulkPrototype = defineMethods({}, {
      insert(document) {
        addInsert(recordOf(this, "bulk").batch, document);
        return this;
      },
      find(query) {
        recordOf(this, "bulk");
        return makeHandle(bulkFindPrototype, {
          __proto__: null,
          type: "bulk find",
          bulk: this,
          filter: query,
          upsert: undefined,
          arrayFilters: undefined,
          collation: undefined,
          hint: undefined,
        });
      },
      execute(options) {
        return begin(() => {
          const bulk = recordOf(this, "bulk");
          if (bulk.isExecuted) throw invalid("Failed to execute bulk writes: the bulk was executed already");
          const result = executeBatch(bulk.target, bulk.batch, bulk.ordered, options);
          bulk.isExecuted = true;
          return result;
        });
      },
    });

    function makeBulk(target, ordered) {
      return makeHandle(bulkPrototype, {
        __proto__: null,
        type: "bulk",
        target,
        ordered,
        batch: makeBatch(),
        isExecuted: false,
      });
    }

    // -- Collections (7.3) -----------------------------------------------------------------------------------------------

    const operationValues = (target) => ({ __proto__: null, db: target.db, collection: target.collection });

    // One operation with named arguments; `names` says which options it knows.
    function perform(handle, action, values, options, names, forValue) {
      return begin(() => {
        const target = recordOf(handle, "collection");
        values.db = target.db;
        values.collection = target.collection;
        values.options = pick(options, names);
        const session = sessionOf(options, target);
        return forValue ? operateForValue(target, action, values, session) : operate(target, action, values, session);
      });
    }

    function startAggregate(target, pipeline, options) {
      if (!ArrayIsArray(pipeline)) throw invalid("aggregate: 'pipeline' must be an array of stages");
      const values = operationValues(target);
      values.pipeline = pipeline;
      return makeCursor(target, "aggregate", values, pick(options, AGGREGATE_OPTIONS), sessionOf(options, target));
    }

    const unavailable = (method, advice) => ({
      [method]() {
        return PromiseReject(
          prelude.serviceError(`${method}() is not available in functions: ${advice}`, "FunctionExecutionError"),
        );
      },
    })[method];

    function count(query, options) {
      return perform(this, "count", { __proto__: null, filter: query }, options, COUNT_OPTIONS, true);
    }

    const collectionPrototype = defineMethods({}, {
      find(query, projection, options) {
        const target = recordOf(this, "collection");
        const found = findArguments(target, projection, options);
        const values = operationValues(target);
        values.filter = query;
        return makeCursor(target, "find", values, found.options, found.session);
      },
      findOne(query, projection, options) {
        return begin(() => {
          const target = recordOf(this, "collection");
          const found = findArguments(target, projection, options);
          const values = operationValues(target);
          values.filter = query;
          values.options = found.options;
          return operateForValue(target, "findOne", values, found.session);
        });
      },
      findOneAndUpdate(query, update, options) {
        const values = { __proto__: null, filter: query, update };
        return perform(this, "findOneAndUpdate", values, options, FIND_AND_MODIFY_OPTIONS, true);
      },
      findOneAndReplace(query, replacement, options) {
        const values = { __proto__: null, filter: query, replacement };
        return perform(this, "findOneAndReplace", values, options, FIND_AND_MODIFY_OPTIONS, true);
      },
      findOneAndDelete(query, options) {
        return perform(this, "findOneAndDelete", { __proto__: null, filter: query }, options, FIND_AND_MODIFY_OPTIONS, true);
      },
      insertOne(document, options) {
        return perform(this, "insertOne", { __proto__: null, document }, options, INSERT_OPTIONS, false);
      },
      insertMany(documents, options) {
        return perform(this, "insertMany", { __proto__: null, documents }, options, INSERT_OPTIONS, false);
      },
      updateOne(query, update, options) {
        return perform(this, "updateOne", { __proto__: null, filter: query, update }, options, UPDATE_OPTIONS, false);
      },
      updateMany(query, update, options) {
        return perform(this, "updateMany", { __proto__: null, filter: query, update }, options, UPDATE_OPTIONS, false);
      },
      replaceOne(query, replacement, options) {
        const values = { __proto__: null, filter: query, replacement };
        return perform(this, "replaceOne", values, options, UPDATE_OPTIONS, false);
      },
      deleteOne(query, options) {
        return perform(this, "deleteOne", { __proto__: null, filter: query }, options, DELETE_OPTIONS, false);
      },
      deleteMany(query, options) {
        return perform(this, "deleteMany", { __proto__: null, filter: query }, options, DELETE_OPTIONS, false);
      },
      aggregate(pipeline, options) {
        return startAggregate(recordOf(this, "collection"), pipeline, options);
      },
      count,
      countDocuments(query, options) {
        return ReflectApply(count, this, [query, options]);
      },
      estimatedDocumentCount(options) {
        return ReflectApply(count, this, [undefined, options]);
      },
      distinct(field, query, options) {
        return perform(this, "distinct", { __proto__: null, field, filter: query }, options, DISTINCT_OPTIONS, true);
      },
      bulkWrite(operations, options) {
        return begin(() => {
          const target = recordOf(this, "collection");
          if (!ArrayIsArray(operations)) throw invalid("bulkWrite: 'operations' must be an array of operations");
          const batch = makeBatch();
          for (let i = 0; i < operations.length; i++) addOperation(batch, operations[i], i);
          return PromisePrototypeThen(executeBatch(target, batch, undefined, options), () => null);
        });
      },
      initializeOrderedBulkOp() {
        return makeBulk(recordOf(this, "collection"), true);
      },
      initializeUnorderedBulkOp() {
        return makeBulk(recordOf(this, "collection"), false);
      },
      watch: unavailable("watch", "use a database trigger"),
      createIndex: unavailable("createIndex", "create indexes in the database itself"),
      drop: unavailable("drop", "drop collections in the database itself"),
      get name() {
        return recordOf(this, "collection").collection;
      },
      get namespace() {
        const { db, collection } = recordOf(this, "collection");
        return `${db}.${collection}`;
      },
    });

    // -- Databases and the client (7.1) ----------------------------------------------------------------------------------

    // The thread waits: these two are synchronous by contract.
    function namesOf(target, action) {
      const values = { __proto__: null, db: target.db };
      return ownValue(native.callServiceBlocking(target.service, action, values, target.authority), "names");
    }

    const databasePrototype = defineMethods({}, {
      collection(name) {
        const { service, authority, db } = recordOf(this, "database");
        return makeHandle(collectionPrototype, {
          __proto__: null,
          type: "collection",
          service,
          authority,
          db,
          collection: name,
        });
      },
      aggregate(pipeline, options) {
        return startAggregate(recordOf(this, "database"), pipeline, options);
      },
      getCollectionNames() {
        return namesOf(recordOf(this, "database"), "getCollectionNames");
      },
      get name() {
        return recordOf(this, "database").db;
      },
    });

    const adminPrototype = defineMethods({}, {
      getDBNames() {
        return namesOf(recordOf(this, "admin"), "getDBNames");
      },
    });

    const clientPrototype = defineMethods({}, {
      db(name) {
        const { service, authority } = recordOf(this, "client");
        return makeHandle(databasePrototype, {
          __proto__: null,
          type: "database",
          service,
          authority,
          db: name,
          collection: undefined,
        });
      },
      startSession(options) {
        return makeSession(recordOf(this, "client"), options);
      },
      admin() {
        const { service, authority } = recordOf(this, "client");
        return makeHandle(adminPrototype, { __proto__: null, type: "admin", service, authority, db: undefined });
      },
    });

    const makeClient = (service, authority) =>
      makeHandle(clientPrototype, { __proto__: null, type: "client", service, authority });

    return { __proto__: null, "mongodb-atlas": makeClient, mongodb: makeClient, datalake: makeClient, materializeCursor };
  });
})
