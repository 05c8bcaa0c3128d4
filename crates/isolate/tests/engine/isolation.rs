//! Nothing of one run is visible to the next (attacks 44 to 57).

use crate::harness::{case, check};
use crate::trials;

pub fn trials() -> Vec<libtest_mimic::Trial> {
    trials![
        patched_built_ins,
        late_continuations,
        parts_set_up_late,
        constructor_walks,
        call_sites,
        hostile_prototypes,
        forged_brands,
        private_names
    ]
}

/// Runs the first source, then the second in the same isolate, and gives the second's answer.
fn after(first: &str, second: &str) -> String {
    let key = format!("isolation {first}");
    let mut run = case(first);
    run.key.clone_from(&key);
    // Both are functions of one deployment, so one isolate serves both.
    run.functions.push(crate::harness::function("second", second));
    let pool = crate::harness::pool();
    let host = std::sync::Arc::new(crate::harness::FakeHost::default());
    let functions = run.functions.clone();
    drop(run.run_on(pool, &host));
    let mut last = String::new();
    // Several times: either thread of the pool may have served the first.
    for _ in 0..4 {
        let mut run = case("");
        run.key.clone_from(&key);
        run.functions = functions.clone();
        let mut invocation = run.invocation();
        invocation.entry = isolate::Entry::Function("second".into());
        let host: std::sync::Arc<dyn isolate::Host> = host.clone();
        let outcome = crate::harness::front().block_on(pool.run(invocation, host));
        last = crate::harness::answer_of(&outcome);
    }
    last
}

fn patched_built_ins() {
    let first = "exports = () => {
        Object.prototype.a = 1; Array.prototype.push = 1; Promise.prototype.then = 1; RegExp.prototype.exec = 1; globalThis.x = 1;
        JSON.parse = 1; EJSON.parse = 1; BSON.ObjectId.prototype.y = 1; context.z = 1; console.log = 1; Math.random = () => 4;
        Object.getPrototypeOf(async function () {}).b = 1; Object.getPrototypeOf(context.functions).execute = 1;
        Symbol.for('shared').description; /(secret)/.exec('secret'); Error.prepareStackTrace = () => 'mine'; Error.stackTraceLimit = 1; }";
    let second = "exports = async () => [({}).a, typeof [].push, typeof Promise.prototype.then, typeof RegExp.prototype.exec, typeof x,
        typeof JSON.parse, typeof EJSON.parse, BSON.ObjectId().y, context.z, typeof console.log, (async () => {}).b, typeof context.functions.execute,
        RegExp.$1, Error.stackTraceLimit, Math.random() === 4, typeof Error.prepareStackTrace].join()";
    assert_eq!(
        after(first, second),
        "\",function,function,function,undefined,function,function,,,function,,function,,10,false,undefined\""
    );
}

fn late_continuations() {
    let first = "exports = () => { const loop = () => Promise.resolve().then(() => { n = (globalThis.n || 0) + 1; if (n < 5) loop() });
        loop(); setInterval(() => { context.services.get('mongodb-atlas').db('d').collection('c').insertOne({}) }, 1);
        new FinalizationRegistry(() => { context.services.get('mongodb-atlas').db('d').collection('late').insertOne({}) }).register({}, 1); }";
    let second = "exports = async () => { await new Promise(r => setTimeout(r, 20)); return typeof n }";
    assert_eq!(after(first, second), "\"undefined\"");
}

/// Most of the prelude is set up when it is first looked at (js/01_later.js), perhaps after user code has patched
/// everything it can reach.
fn parts_set_up_late() {
    check(
        "let seen = '';
         const spy = (name) => function () { seen += name + ' '; throw new Error(name) };
         const names = ['ObjectId', 'Long', 'from', 'alloc', 'eq', 'type', 'service', 'authority', 'value', 'get', 'set', 'writable',
           'enumerable', 'mongodb', 'aws', 'http', 'values', 'bson', 'makeHttp', 'action', 'i'];
         for (let i = 0; i < names.length; i++) {
           const name = names[i];
           Object.defineProperty(Object.prototype, name,
             { __proto__: null, get: undefined, set: spy('set ' + name), configurable: true });
         }
         const taken = ['keys', 'defineProperty', 'getOwnPropertyDescriptor', 'create', 'setPrototypeOf', 'freeze'];
         for (let i = 0; i < taken.length; i++) Object[taken[i]] = spy('Object.' + taken[i]);
         for (const name of ['ownKeys', 'apply', 'construct', 'get', 'getOwnPropertyDescriptor']) Reflect[name] = spy('Reflect.' + name);
         for (const name of ['call', 'apply', 'bind']) Function.prototype[name] = spy(name);
         for (const name of ['replace', 'slice', 'split']) String.prototype[name] = spy(name);
         Array.prototype[Symbol.iterator] = spy('iterator');
         const mongo = context.services.get('mongodb-atlas').db('d').collection('c');
         return [typeof mongo.find, typeof BSON.ObjectId().toHexString(), typeof EJSON.parse, typeof Buffer.from, typeof URL.canParse, typeof atob,
           typeof new TextEncoder().encode, typeof process.nextTick, typeof utils.crypto.hash, typeof context.http.get, seen].join()",
        r#""function,string,function,function,function,function,function,function,function,function,""#,
    );
    // A load that ran out of stack is done again.
    check(
        "let failed = 0; const names = ['BSON', 'Buffer', 'URL', 'EJSON', 'process', 'utils'];
         const deep = () => { try { deep() } catch { for (let i = 0; i < names.length; i++) try { globalThis[names[i]] } catch { failed++ } } };
         deep();
         return [failed > 0, typeof BSON.ObjectId, typeof Buffer.from, typeof URL.canParse, typeof EJSON.parse, BSON.ObjectId('0123456789ab0123456789ab').toJSON(),
           EJSON.parse('{\"$oid\":\"0123456789ab0123456789ab\"}') instanceof BSON.ObjectId].join()",
        r#""true,function,function,function,function,0123456789ab0123456789ab,true""#,
    );
    // To scripts they are ordinary properties.
    check(
        "const d = Object.getOwnPropertyDescriptor(globalThis, 'Buffer'); EJSON = 5; delete globalThis.URL;
         return [typeof d.value.from, d.writable, d.enumerable, d.configurable, EJSON, typeof URL, 'atob' in globalThis,
           Object.keys(globalThis).length].join()",
        r#""function,true,false,true,5,undefined,true,0""#,
    );
}

fn constructor_walks() {
    check(
        "try { this.constructor.constructor('return process')().binding('fs') } catch (e) { return e instanceof Error }",
        "true",
    );
    check("return Object.keys(process.env).length", r#"{"$numberInt":"0"}"#);
    check(
        "const fs = [Function, (async () => {}).constructor, (function* () {}).constructor, (async function* () {}).constructor];
         return fs.map(F => F('return typeof Deno + typeof prelude + typeof native')).length",
        r#"{"$numberInt":"4"}"#,
    );
    check("return context.functions.execute.constructor('return this')() === globalThis", "true");
    assert_eq!(
        case("exports = function () { return [arguments.callee.caller, exports.caller] }").answer(),
        "[null,null]"
    );
}

/// Attack 51 and 52: stack frames do not lead to prelude functions.
fn call_sites() {
    check(
        "Error.prepareStackTrace = (e, sites) => sites; const sites = new Error('x').stack; delete Error.prepareStackTrace;
         return sites.map(s => [s.getFileName(), typeof s.getThis(), typeof s.getFunction()]).filter(s => !String(s[0]).startsWith('functions/'))",
        "[]",
    );
    let source = "exports = () => { Error.prepareStackTrace = (e, sites) => sites;
        let sites; const get = { get then() { sites = new Error('x').stack } };
        try { context.functions.execute({ toString() { sites = new Error('x').stack; return 'nope' } }) } catch (e) {}
        return sites.map(s => s.getFileName()) }";
    let answer = case(source).answer();
    assert!(!answer.contains("selvedge"), "{answer}");
}

/// Attacks 46 to 48: getters on `Object.prototype` see nothing of ours and break nothing.
fn hostile_prototypes() {
    let answer = case(
        "exports = async () => {
           const seen = [];
           const doc = await (async () => {
             const coll = context.services.get('mongodb-atlas').db('d').collection('c');
             for (const key of ['then', 'value', 'get', 'filter', 'authority', 'cursor', 'documents', 'session', 'runAs', 'code', 'toBSON', 'toJSON', '$oid', 'length'])
               Object.defineProperty(Object.prototype, key, { __proto__: null, configurable: true, get() { if (key !== 'then' && key !== 'toBSON' && key !== 'toJSON') seen.push(key); return undefined }, set(v) { Object.defineProperty(this, key, { __proto__: null, value: v, writable: true, enumerable: true, configurable: true}) } });
             return coll.findOne({});
           })();
           return [doc.a, seen.length] }",
    )
    .answer();
    assert_eq!(answer, r#"[{"$numberInt":"1"},{"$numberInt":"0"}]"#);
}

fn forged_brands() {
    check("return {_bsontype: 'ObjectId', id: 'x'}", r#"{"_bsontype":"ObjectId","id":"x"}"#);
    let (_, text) = case("exports = () => Object.create(BSON.ObjectId.prototype)").failure();
    assert!(text.starts_with("TypeError"), "{text}");
    check("try { BSON.ObjectId.prototype.toString.call({}) } catch (e) { return e instanceof TypeError }", "true");
    check(
        "const id = BSON.ObjectId('5e58667d902d38559c802b13'); return [Reflect.ownKeys(id), JSON.stringify(Object.getOwnPropertyDescriptors(id))]",
        r#"[[],"{}"]"#,
    );
}

fn private_names() {
    check(
        "const p = new Proxy(BSON.ObjectId(), { get() { throw 1 } }); try { p.toString() } catch (e) { return e }",
        r#"{"$numberInt":"1"}"#,
    );
}
