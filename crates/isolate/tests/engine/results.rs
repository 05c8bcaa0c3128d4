//! Sources, scope, results, promises, floating work, errors: FN-01 to FN-40; the response object (http-surface 5).

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use isolate::{Arguments, ResultFormat, ResultPolicy, ReturnValue, RunErrorKind};

use crate::harness::{FakeHost, answer_of, case, check, payload, pool};
use crate::trials;

pub fn trials() -> Vec<libtest_mimic::Trial> {
    trials![
        export_forms,
        sloppy_and_strict,
        scopes_of_files,
        globals_of_one_run,
        syntax_errors,
        positions_are_the_files_own,
        es_imports,
        arguments_arrive,
        nested_promises_and_cursors,
        floating_work,
        floating_rejections,
        never_settles,
        number_types,
        values_serialise,
        json_column,
        timers,
        thrown_values,
        host_errors,
        host_panics,
        webhook_payload,
        github_and_twilio_payloads,
        response_methods,
        response_arguments,
        response_policies,
        require_is_missing,
        run_time_is_measured,
    ]
}

fn export_forms() {
    for (source, expected) in [
        ("exports = function () { return 'a'; };", "\"a\""),
        ("exports = async () => { return {a: 1}; };", r#"{"a":{"$numberInt":"1"}}"#),
        ("exports = main; async function main() { return 1; }", r#"{"$numberInt":"1"}"#),
        ("exports = () => 1; exports = () => 2;", r#"{"$numberInt":"2"}"#),
        ("exports = () => 1;\nif (typeof module === 'object') { module.exports = exports; }", r#"{"$numberInt":"1"}"#),
        ("var exports = () => 1", r#"{"$numberInt":"1"}"#),
        ("exports = () => 1 // no line break", r#"{"$numberInt":"1"}"#),
        ("#!/usr/bin/env node\nexports = () => 1", r#"{"$numberInt":"1"}"#),
        ("\u{feff}exports = () => 1", r#"{"$numberInt":"1"}"#),
        ("const context = 1, require = 2; exports = () => context + require", r#"{"$numberInt":"3"}"#),
        ("exports = function () { return this === globalThis }", "true"),
        ("exports = () => typeof module + typeof exports", "\"undefinedfunction\""),
    ] {
        assert_eq!(case(source).answer(), expected, "{source}");
    }
    let not_callable = ("FunctionInvalid".to_owned(), "exports is not a function".to_owned());
    assert_eq!(case("exports = 5;").failure(), not_callable);
    assert_eq!(case("exports.name = () => 1;").failure(), not_callable);
}

fn sloppy_and_strict() {
    check("n = 5; return n;", r#"{"$numberInt":"5"}"#);
    let (code, text) = case("exports = function () { 'use strict'; n = 5; };").failure();
    assert_eq!((code.as_str(), text.contains("n is not defined")), ("FunctionExecutionError", true), "{text}");
    let (_, text) = case("'use strict'; exports = function () { n = 5; };").failure();
    assert!(text.contains("n is not defined"), "{text}");
    // FN-20
    check(
        "const o = {a: {b: 1}, ...{c: 2}}; let s = o?.a?.b ?? 0; for await (const x of [o.c]) s += x;
         const m = /(?<year>\\d{4})\\u{1F600}/u.exec('2020\\u{1F600}'); return [s, m.groups.year];",
        r#"[{"$numberInt":"3"},"2020"]"#,
    );
    check("return new Function('a', 'return a + 1')(1)", r#"{"$numberInt":"2"}"#);
    check("return eval('1 + 1')", r#"{"$numberInt":"2"}"#);
    check("with ({x: 5}) { return x }", r#"{"$numberInt":"5"}"#);
}

fn scopes_of_files() {
    let a = "function h() { return 1; } exports = function () { g = () => 7; };";
    let source = "exports = () => { context.functions.execute('A'); return [typeof h, g()]; }";
    assert_eq!(case(source).with("A", a).answer(), r#"["undefined",{"$numberInt":"7"}]"#);
    // FN-13, FN-14
    let a =
        "t = () => 8; exports = function () { Array.prototype.last = function () { return this[this.length - 1]; }; };";
    let source = "exports = () => { context.functions.execute('A'); return [t(), [1, 2].last()]; }";
    assert_eq!(case(source).with("A", a).answer(), r#"[{"$numberInt":"8"},{"$numberInt":"2"}]"#);
}

fn globals_of_one_run() {
    let make = || {
        let mut case = case(
            "exports = () => { const was = typeof counter; counter = 1; Array.prototype.x = 1; return [was, [].x === undefined]; }",
        );
        case.key = "globals of one run".into();
        case
    };
    for run in 0..5 {
        let first = make().answer();
        assert_eq!(first, r#"["undefined",false]"#, "run {run}");
    }
}

fn syntax_errors() {
    let (code, text) = case("const exports = () => 1;").failure();
    assert_eq!(code, "FunctionSyntaxError");
    assert!(text.contains("exports") && text.starts_with("SyntaxError: "), "{text}");
    for source in
        ["exports = () => {", "} {", "}); evil(); (function () {", "await x;", "exports = 1 }); }) //", "import.meta"]
    {
        let outcome = case(source).run();
        let error = outcome.result.expect_err(source);
        assert_eq!(error.kind, RunErrorKind::Syntax, "{source}: {error}");
    }
    let error = isolate::check_source("functions/bad.js", "exports = 1;\n  let a = ;").expect_err("no expression");
    assert_eq!((error.file.as_str(), error.line, error.column), ("functions/bad.js", 2, 11), "{error}");
    assert_eq!(isolate::check_source("f.js", "exports = () => 1"), Ok(()));
    assert_eq!(isolate::check_source("f.js", "#!x\nimport a from 'a'; exports = () => a"), Ok(()));
    // Nested: thrown to the caller, who may catch it.
    let source = "exports = () => { try { context.functions.execute('bad') } catch (e) { return [e.name, e instanceof SyntaxError] } }";
    assert_eq!(case(source).with("bad", "let = ;;; const x").answer(), r#"["SyntaxError",true]"#);
}

fn positions_are_the_files_own() {
    let outcome = case("exports = function main() { throw new Error('here'); };").run();
    let stack = outcome.result.expect_err("it throws").stack.expect("an error has a stack");
    assert!(
        stack.contains("at main (functions/main.js:1:35)") || stack.contains("at exports (functions/main.js:1:35)"),
        "{stack}"
    );
    assert!(!stack.contains("selvedge:"), "{stack}");
    let outcome = case("\n\nexports = async () => {\n  await null;\n  null.x;\n};").run();
    let stack = outcome.result.expect_err("it throws").stack.expect("an error has a stack");
    assert!(stack.contains("functions/main.js:5:8"), "{stack}");
    // The caller's frames and ours: only files of the app are named, to user code too.
    let source = "exports = () => context.functions.execute('A');";
    let answer = case(source).with("A", "exports = () => new Error('x').stack").answer();
    assert!(answer.contains("functions/A.js:1:17") && answer.contains("functions/main.js:1:"), "{answer}");
    assert!(!answer.contains("selvedge") && !answer.contains(".rs"), "{answer}");
}

fn es_imports() {
    let source = "import { a as b } from 'nope';\nexports = () => b;";
    let outcome = case(source).run();
    let error = outcome.result.expect_err("there is no such module");
    assert_eq!(error.text, "Error: Cannot find module 'nope'");
    for source in [
        "import * as n from 'p'\nexports = () => n",
        "// c\nimport {\n a,\n b as c,\n} from \"p\";\nexports = () => c",
        "import 'p';",
        "import d, {a} from 'p'; import 'q'",
    ] {
        assert_eq!(isolate::check_source("f.js", source), Ok(()), "{source}");
    }
    for source in ["import x from", "import('x') from y", "importance {", "export default 1"] {
        assert!(isolate::check_source("f.js", source).is_err(), "{source}");
    }
}

fn arguments_arrive() {
    let echo = "exports = function (a, b) { return [arguments.length, a, b]; };";
    assert_eq!(case(echo).answer(), r#"[{"$numberInt":"0"},{"$undefined":true},{"$undefined":true}]"#);
    assert_eq!(
        case(echo).arguments(&[r#"{"$oid":"5e58667d902d38559c802b13"}"#, r#"{"$numberLong":"5"}"#]).answer(),
        r#"[{"$numberInt":"2"},{"$oid":"5e58667d902d38559c802b13"},{"$numberInt":"5"}]"#
    );
    let (_, text) = case(echo).arguments(&["{oops"]).failure();
    assert!(text.starts_with("SyntaxError"), "{text}");
    // FN-19
    let destructured =
        "exports = function ({ query, body }, response) { return [query, body, typeof response.setBody]; };";
    assert_eq!(
        case(destructured).arguments(&[r#"{"query":{"a":"b"}}"#, "{}"]).answer(),
        r#"[{"a":"b"},{"$undefined":true},"undefined"]"#
    );
}

const COLL: &str = "const coll = context.services.get('mongodb-atlas').db('d').collection('c');";

fn with_collection(body: &str) -> crate::harness::Case {
    case(&format!("exports = async function () {{ {COLL} {body} }};"))
}

fn nested_promises_and_cursors() {
    let stored = r#"{"a":{"$numberInt":"1"},"b":{"$numberLong":"2"},"c":{"$numberDouble":"3.0"},"id":{"$oid":"5e58667d902d38559c802b13"}}"#;
    assert_eq!(
        with_collection("return { n: coll.count(), docs: coll.find().toArray(), deep: [{p: Promise.resolve(1)}] };")
            .answer(),
        format!(r#"{{"n":{{"$numberInt":"7"}},"docs":[{stored}],"deep":[{{"p":{{"$numberInt":"1"}}}}]}}"#)
    );
    let sync = format!("exports = function () {{ {COLL} return coll.find({{}}); }};");
    assert_eq!(case(&sync).answer(), format!("[{stored}]"));
    assert_eq!(
        with_collection("const c = await coll.find({}); return { result: c };").answer(),
        format!(r#"{{"result":[{stored}]}}"#)
    );
    check("return { then(f) { f({ then(g) { g(3) } }) } }", r#"{"$numberInt":"3"}"#);
    let (_, text) = case("exports = () => ({ a: [Promise.reject(new Error('inside'))] })").failure();
    assert_eq!(text, "Error: inside");
}

fn floating_work() {
    let host = Arc::new(FakeHost::default());
    let run = with_collection("for (let i = 0; i < 50; i++) coll.insertOne({i, sleep: 20}); return 'done';");
    assert_eq!(answer_of(&run.run_on(pool(), &host)), "\"done\"");
    assert_eq!(host.inserted.load(SeqCst), 50);
    let host = Arc::new(FakeHost::default());
    let run = with_collection(
        "[1, 2, 3].forEach(async i => { await coll.insertOne({i, sleep: 5}); await coll.insertOne({i}); });",
    );
    run.run_on(pool(), &host).result.expect("success");
    assert_eq!(host.inserted.load(SeqCst), 6);
    // Started before the handler threw: done all the same.
    let host = Arc::new(FakeHost::default());
    let run = with_collection("coll.insertOne({sleep: 20}); throw new Error('late')");
    assert_eq!(run.run_on(pool(), &host).result.expect_err("it throws").text, "Error: late");
    assert_eq!(host.inserted.load(SeqCst), 1);
    // FN-26
    let source = format!(
        "exports = function (payload, response) {{ {COLL} coll.count().then(n => response.setBody(String(n))); }};"
    );
    let outcome = case(&source).http(payload("")).run();
    assert_eq!(outcome.result.expect("success").response.body.expect("a body").bytes, "7");
    // A pending timer does not hold the run.
    let started = Instant::now();
    check("setTimeout(() => {}, 5000); setInterval(() => {}, 5000); return 1;", r#"{"$numberInt":"1"}"#);
    assert!(started.elapsed() < Duration::from_secs(3));
}

fn floating_rejections() {
    let (code, text) = case("exports = () => { Promise.reject(new Error('lost')); return 1; }").failure();
    assert_eq!((code.as_str(), text.as_str()), ("UncaughtPromiseRejection", "uncaught promise rejection: Error: lost"));
    let (code, text) = with_collection("coll.insertOne({fail: 1}); return 1;").failure();
    assert_eq!(code, "UncaughtPromiseRejection");
    assert!(text.contains("E11000"), "{text}");
    // FN-28
    assert_eq!(
        with_collection("const p = Promise.reject(new Error('x')); await coll.count(); p.catch(() => {}); return 1;")
            .answer(),
        r#"{"$numberInt":"1"}"#
    );
}

fn never_settles() {
    let started = Instant::now();
    let (code, text) = case("exports = () => new Promise(() => {})").failure();
    assert_eq!(code, "FunctionExecutionError");
    assert!(text.starts_with("pending promise returned that will never resolve/reject"), "{text}");
    let (_, text) = case("exports = async () => ({ a: new Promise(() => {}) })").failure();
    assert!(text.starts_with("pending promise returned"), "{text}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

fn number_types() {
    check(
        "return [1, 2.5, 3000000000, -0, NaN, Infinity, 1e21, 2**53]",
        concat!(
            r#"[{"$numberInt":"1"},{"$numberDouble":"2.5"},{"$numberLong":"3000000000"},{"$numberDouble":"-0.0"},"#,
            r#"{"$numberDouble":"NaN"},{"$numberDouble":"Infinity"},{"$numberDouble":"1e+21"},{"$numberDouble":"9007199254740992.0"}]"#
        ),
    );
    // FN-32, FN-33
    let kept = r#"{"a":{"$numberInt":"1"},"b":{"$numberLong":"2"},"c":{"$numberDouble":"3.0"},"id":{"$oid":"5e58667d902d38559c802b13"}}"#;
    assert_eq!(with_collection("return coll.findOne({})").answer(), kept);
    assert_eq!(
        with_collection("const doc = await coll.findOne({}); return doc.b === 2 && doc.c + 1 === 4 && typeof doc.b === 'number' && doc.id instanceof BSON.ObjectId;").answer(),
        "true"
    );
    // A changed number goes by its value; the unchanged one beside it keeps its type, also on the way to the database.
    let host = Arc::new(FakeHost::default());
    let run = with_collection(
        "const doc = await coll.findOne({}); doc.c = 4; await coll.insertOne({doc, m: new Map([['k', 1n]]), u: undefined}); return 1;",
    );
    run.run_on(pool(), &host).result.expect("success");
    let calls = host.calls.lock().expect("not poisoned");
    let sent: bson::Document = bson::deserialize_from_slice(&calls[1].arguments).expect("BSON");
    let sent = sent.get_document("document").expect("a document");
    let expected = bson::doc! {
        "doc": { "a": 1_i32, "b": 2_i64, "c": 4_i32, "id": bson::oid::ObjectId::parse_str("5e58667d902d38559c802b13").expect("an id") },
        "m": { "k": 1_i64 },
        "u": bson::Bson::Null,
    };
    let mut without_id = sent.clone();
    without_id.remove("_id");
    assert_eq!(without_id, expected);
}

fn values_serialise() {
    for (body, expected) in [
        ("", "undefined"),
        ("return null", "null"),
        ("return 'x'", "\"x\""),
        ("return [undefined, () => 1, Symbol()]", r#"[{"$undefined":true},null,null]"#),
        ("return {u: undefined, f() {}, s: Symbol(), [Symbol()]: 1}", r#"{"u":{"$undefined":true}}"#),
        ("return () => 1", "undefined"),
        ("return new Date(1.5e12)", r#"{"$date":{"$numberLong":"1500000000000"}}"#),
        ("return [new Date(NaN)]", "[null]"),
        ("return [10n, -5n]", r#"[{"$numberLong":"10"},{"$numberLong":"-5"}]"#),
        ("return {toBSON() { return {x: 'y'} }}", r#"{"x":"y"}"#),
        ("return new (class { constructor() { this.a = 1 } toJSON() { return 'mine' } })", r#""mine""#),
        ("return {a: 'b', toJSON() { return 1 }}", r#"{"a":"b"}"#),
        ("return new Map([[1, 2]])", "{}"),
        ("return new Uint8Array([1, 2])", r#"{"$binary":{"base64":"AQI=","subType":"00"}}"#),
        ("return /a.b/gis", r#"{"$regularExpression":{"pattern":"a.b","options":"is"}}"#),
        ("return '\\ud800x'", "\"\u{fffd}x\""),
        ("return JSON.parse('{\"__proto__\": {\"a\": \"b\"}}')", r#"{"__proto__":{"a":"b"}}"#),
        ("return new Error('x')", "{}"),
        ("return {2: 'b', 1: 'a', x: 'c'}", r#"{"1":"a","2":"b","x":"c"}"#),
        ("return [new Number(5), new String('s'), new Boolean(false)]", r#"[{"$numberInt":"5"},"s",false]"#),
        (
            "return [BSON.MinKey, BSON.MaxKey, BSON.Decimal128('1.20'), BSON.Long(5), BSON.Double(1), BSON.Int32(2)]",
            r#"[{"$minKey":1},{"$maxKey":1},{"$numberDecimal":"1.20"},{"$numberLong":"5"},{"$numberDouble":"1.0"},{"$numberInt":"2"}]"#,
        ),
        ("const o = {}; return [o, o]", "[{},{}]"),
        ("const a = []; a.length = 3; return a", r#"[{"$undefined":true},{"$undefined":true},{"$undefined":true}]"#),
    ] {
        let got = case(&format!("exports = function () {{ {body} }};")).answer();
        assert_eq!(got, expected, "{body}");
    }
    for body in [
        "const o = {}; o.o = o; return o;",
        "return 2n ** 64n",
        "return { get x() { throw new TypeError('no') } }",
        "return new Proxy({}, { ownKeys() { throw new TypeError('no') } })",
        "const a = []; a[0] = a; return a;",
        "const r = Proxy.revocable({}, {}); r.revoke(); return [r.proxy];",
    ] {
        let outcome = case(&format!("exports = function () {{ {body} }};")).run();
        let error = outcome.result.expect_err(body);
        assert_eq!(
            (error.kind, error.error_code.as_str()),
            (RunErrorKind::NotSerializable, "FunctionExecutionError"),
            "{body}"
        );
    }
}

fn json_column() {
    let json = |body: &str| {
        let mut case = case(&format!("exports = function () {{ {body} }};"));
        case.result = ResultPolicy::Always(ResultFormat::Json);
        case.answer()
    };
    assert_eq!(
        json(
            "return {i: 1, f: 1.5, n: NaN, u: undefined, d: new Date(0), o: BSON.ObjectId('5e58667d902d38559c802b13'), b: BSON.Binary.fromText('hi'), m: BSON.MinKey, x: BSON.Decimal128('1.20'), r: /^H/i, t: BSON.Timestamp(1, 2), l: BSON.Long(0, 1), far: new Date(-62198755200001), a: [undefined]}"
        ),
        r#"{"i":1,"f":1.5,"n":null,"d":"1970-01-01T00:00:00.000Z","o":"5e58667d902d38559c802b13","b":{"Subtype":0,"Data":"aGk="},"m":{},"x":"1.20","r":{"Pattern":"^H","Options":"i"},"t":{"T":2,"I":1},"l":4294967296,"far":"-000002-12-31T23:59:59.999Z","a":[null]}"#
    );
    assert_eq!(json("return new Date(8.64e15)"), "\"+275760-09-13T00:00:00.000Z\"");
    assert_eq!(json("return new Date(951782400000)"), "\"2000-02-29T00:00:00.000Z\"");
}

fn timers() {
    let started = Instant::now();
    check("await new Promise(r => setTimeout(r, 50)); return 1", r#"{"$numberInt":"1"}"#);
    assert!(started.elapsed() >= Duration::from_millis(50));
    check(
        "const seen = []; setTimeout(() => seen.push('b'), 20); setTimeout(() => seen.push('a'), 10);
         const c = setTimeout(() => seen.push('never'), 5); clearTimeout(c);
         let n = 0; await new Promise(r => { const i = setInterval(() => { if (++n === 3) { clearInterval(i); r() } }, 15) });
         return [seen, n]",
        r#"[["a","b"],{"$numberInt":"3"}]"#,
    );
    let (_, text) = case("exports = async () => { setTimeout(() => { throw new Error('in a timer') }, 1); await new Promise(r => setTimeout(r, 20)) }").failure();
    assert_eq!(text, "Error: in a timer");
}

fn thrown_values() {
    for (thrown, text) in [
        ("new TypeError('bad')", "TypeError: bad"),
        ("'plain'", "plain"),
        ("undefined", "undefined"),
        ("null", "null"),
        ("5", "5"),
        ("{a: 'b'}", r#"{"a":"b"}"#),
        ("['x']", r#"["x"]"#),
        ("{toString() { return 'own text' }}", "own text"),
        ("Object.assign(new Error('m'), {name: 'Mine'})", "Mine: m"),
        ("new (class Mine extends Error { get name() { throw 1 } })('m')", "m"),
    ] {
        let (code, got) = case(&format!("exports = function () {{ throw {thrown} }};")).failure();
        assert_eq!((code.as_str(), got.as_str()), ("FunctionExecutionError", text), "{thrown}");
        let (_, got) = case(&format!("exports = async function () {{ await null; throw {thrown} }};")).failure();
        assert_eq!(got, text, "{thrown}");
    }
}

fn host_errors() {
    let (code, text) = with_collection("await coll.insertOne({fail: 1});").failure();
    assert_eq!((code.as_str(), text.as_str()), ("MongoDBError", "(DuplicateKey) E11000"));
    assert_eq!(
        with_collection("try { await coll.insertOne({fail: 1}) } catch (e) { return [e instanceof Error, e.name, e.message, e.code, e.codeName, Object.keys(e)] }").answer(),
        r#"[true,"MongoError","(DuplicateKey) E11000",{"$numberInt":"11000"},"DuplicateKey",[]]"#
    );
}

fn host_panics() {
    let (code, _) = with_collection("await coll.insertOne({panic: 1});").failure();
    assert_eq!(code, "InternalServerError");
    check("return 1", r#"{"$numberInt":"1"}"#);
}

fn webhook_payload() {
    let outcome = case(
        "exports = function (payload, response) {
           return [Object.keys(payload), Object.keys(payload.query), payload.query.a, Object.getPrototypeOf(payload.query) === Object.prototype,
             payload.headers['X-Many'] == 'a,b', Array.isArray(payload.headers['X-Many']), payload.body.text(), payload.body instanceof BSON.Binary,
             response instanceof HTTPResponse, arguments.length]; };",
    )
    .http(payload("b\u{fc}"))
    .run();
    assert_eq!(
        answer_of(&outcome),
        "[[\"query\",\"headers\",\"body\"],[\"a\",\"__proto__\"],\"1\",true,true,true,\"b\u{fc}\",true,true,{\"$numberInt\":\"2\"}]"
    );
    let outcome = case("exports = ({body}) => typeof body").http(payload("")).run();
    assert_eq!(answer_of(&outcome), "\"undefined\"");
}

fn github_and_twilio_payloads() {
    let mut run =
        case("exports = (event, response) => [event.commits[0].id, typeof event.$oid, typeof response.setBody]");
    run.arguments = Arguments::Json(r#"{"commits":[{"id":"x"}],"$oid":"y"}"#.into());
    assert_eq!(answer_of(&run.run()), r#"["x","string","function"]"#);
    let mut run = case("exports = (fields) => fields.Body + fields.From");
    run.arguments = Arguments::Form(vec![("From".into(), "1".into()), ("Body".into(), "2".into())]);
    let outcome = run.run();
    let value = outcome.result.expect("success").value;
    assert!(matches!(value, Some(ReturnValue::String { ref text, .. }) if text == "21"), "{value:?}");
}

fn response_methods() {
    let outcome = case(
        "exports = function (payload, response) {
           response.statusCode = 404;
           const same = response.setStatusCode('201') === response;
           response.setHeader('X-A', 'one').addHeader('x-a', 'two').addHeader('X-B', 3).setHeader('X-C', ['p', 'q']);
           response.setHeader('X-B', 'b').setHeader('Content-Length', '5').setHeader('transfer-encoding', 'x');
           response.setBody(String(same)); return response; };",
    )
    .http(payload(""))
    .run();
    let response = outcome.result.expect("success").response;
    assert_eq!(response.status, Some(201));
    let headers: Vec<(&str, &str)> = response.headers.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(headers, [("X-A", "one"), ("x-a", "two"), ("X-C", "p"), ("X-C", "q"), ("X-B", "b")]);
    assert_eq!(response.body.expect("a body").bytes, "true");
    // Handed to another function it is the same object.
    let outcome = case("exports = (p, response) => { context.functions.execute('A', response) }")
        .with("A", "exports = r => { r.setBody(BSON.Binary.fromHex('00ff')) }")
        .http(payload(""))
        .run();
    let body = outcome.result.expect("success").response.body.expect("a body");
    assert_eq!((&body.bytes[..], body.is_text), (&[0, 255][..], false));
}

fn response_arguments() {
    for (call, error) in [
        ("setStatusCode(0)", true),
        ("setStatusCode(99)", true),
        ("setStatusCode(100)", true),
        ("setStatusCode(1000)", true),
        ("setStatusCode(NaN)", true),
        ("setStatusCode('x')", true),
        ("setStatusCode(200.5)", true),
        ("setStatusCode({})", true),
        ("setStatusCode(599)", false),
        ("setHeader('a b', 'c')", true),
        ("setHeader('', 'c')", true),
        ("setHeader('a\\n', 'c')", true),
        ("setHeader('a', 'b\\r\\nc: d')", true),
        ("addHeader('a', '\\u0000')", true),
        ("setHeader('a', 'tab\\tok')", false),
        ("setBody(null)", false),
        ("setBody()", false),
    ] {
        let source = format!(
            "exports = (p, response) => {{ try {{ response.{call}; }} catch (e) {{ return e instanceof TypeError; }} }};"
        );
        let mut run = case(&source).http(payload(""));
        run.result = ResultPolicy::Always(ResultFormat::Json);
        let outcome = run.run();
        let completed = outcome.result.as_ref().expect("success");
        assert!(completed.response.touched, "{call}");
        assert_eq!(answer_of(&outcome), if error { "true" } else { "undefined" }, "{call}");
    }
    for (body, bytes, is_text) in [
        ("null", "", true),
        ("undefined", "", true),
        ("'\u{fc}'", "\u{fc}", true),
        ("BSON.ObjectId('5e58667d902d38559c802b13')", r#"{"$oid":"5e58667d902d38559c802b13"}"#, true),
        ("{a: 1}", r#"{"a":{"$numberInt":"1"}}"#, true),
        ("5", r#"{"$numberInt":"5"}"#, true),
        ("Buffer.from('raw')", "raw", false),
    ] {
        let outcome =
            case(&format!("exports = (p, response) => {{ response.setBody({body}) }};")).http(payload("")).run();
        let got = outcome.result.expect("success").response.body.expect("a body");
        assert_eq!((&got.bytes[..], got.is_text), (bytes.as_bytes(), is_text), "{body}");
    }
    let (_, text) = case("exports = () => { const { setBody } = new HTTPResponse(); setBody('x') }").failure();
    assert!(text.starts_with("TypeError"), "{text}");
    check(
        "const r = HTTPResponse(); return [r.setBody('x') === r, r instanceof HTTPResponse, Object.keys(r)]",
        "[true,true,[]]",
    );
}

fn response_policies() {
    let value = |policy, body: &str| {
        let mut run = case(&format!("exports = (p, response) => {{ {body}; return 'v'; }};")).http(payload(""));
        run.result = policy;
        run.run().result.expect("success").value.is_some()
    };
    let format = ResultFormat::Json;
    assert!(value(ResultPolicy::UnlessTouched(format), ""));
    assert!(!value(ResultPolicy::UnlessTouched(format), "response.setStatusCode(200)"));
    assert!(value(ResultPolicy::UnlessBodySet(format), "response.setStatusCode(200)"));
    assert!(!value(ResultPolicy::UnlessBodySet(format), "response.setBody('')"));
    assert!(!value(ResultPolicy::Discard, ""));
}

fn require_is_missing() {
    check(
        "try { require('nope') } catch (e) { return [e.message, e.code, e instanceof Error] }",
        r#"["Cannot find module 'nope'","MODULE_NOT_FOUND",true]"#,
    );
}

fn run_time_is_measured() {
    let outcome = case("exports = async () => { let n = 0; for (let i = 0; i < 1e8; i++) n = (n * 31 + i) | 0; await new Promise(r => setTimeout(r, 40)); }").run();
    outcome.result.expect("success");
    assert!(outcome.usage.cpu >= Duration::from_millis(20), "{:?}", outcome.usage);
    assert!(outcome.usage.cpu < outcome.usage.wall, "{:?}", outcome.usage);
    assert!(outcome.usage.wall >= Duration::from_millis(40), "{:?}", outcome.usage);
}
