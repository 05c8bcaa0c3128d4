//! The value classes, `utils`, encodings, console and timers as user code sees them (function-environment 2, 10.4).
//!
//! The scripts of `values/` collect what went wrong and return it: a test passes when the list is empty.

use isolate::{ConsoleLevel, Outcome, ResultFormat, ResultPolicy};

use crate::harness::{answer_of, case};
use crate::trials;

pub fn trials() -> Vec<libtest_mimic::Trial> {
    trials![
        bson_classes,
        utils_crypto_and_jwt,
        damaged_keys,
        ejson_timers_process_and_globals,
        hostile_built_ins,
        failing_assertions_are_reported,
        node_values,
        values_leave_in_both_formats,
        values_that_cannot_leave,
        console_lines,
        console_bounds,
        big_and_moving_inputs,
        ejson_round_trips,
        ejson_rows,
        ejson_of_any_depth_and_size,
    ]
}

/// Runs a script of `values/` and gives what it reports.
fn failures_of(script: &str, arguments: &[&str]) -> Vec<String> {
    let assertions = include_str!("values/assertions.js").lines().last().expect("the file ends with its one line");
    let answer = case(&format!("{assertions} {script}")).arguments(arguments).answer();
    serde_json::from_str(&answer).unwrap_or_else(|_| vec![format!("the script gave {answer}")])
}

#[track_caller]
fn check_script(script: &str, arguments: &[&str]) {
    let failures = failures_of(script, arguments);
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

fn console_of(source: &str) -> Outcome {
    let outcome = case(source).run();
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    outcome
}

fn bson_classes() {
    check_script(include_str!("values/bson.js"), &[]);
}

fn utils_crypto_and_jwt() {
    check_script(include_str!("values/utils.js"), &[include_str!("signing_keys.json")]);
}

/// Keys damaged by mistake or on purpose are errors: no panic, no endless work (ATK-95).
fn damaged_keys() {
    check_script(include_str!("values/damaged_keys.js"), &[include_str!("signing_keys.json")]);
}

fn ejson_timers_process_and_globals() {
    check_script(include_str!("values/globals.js"), &[]);
}

fn hostile_built_ins() {
    check_script(include_str!("values/hostile.js"), &[]);
}

/// A script that reports nothing although an assertion fails would prove nothing.
fn failing_assertions_are_reported() {
    let script = "exports = () => { same('two', 1 + 1, 3); fails('throws', () => 1); fails('text', () => { throw Error('a'); }, 'b'); return failures; }";
    let failures = failures_of(script, &[]);
    assert_eq!(failures.len(), 3, "{failures:?}");
}

/// Expressions over Buffer, URL, URLSearchParams, TextEncoder, TextDecoder, atob and btoa, with what Node 20 gave.
/// Left out: what Node does by accident (hex and base64 of characters above U+00FF) and DOS drive letters in file URLs.
fn node_values() {
    let script = include_str!("values/node_values.js");
    check_script(script, &[include_str!("node_values.json")]);
}

/// FN-70, FN-71 and http-surface 5.6: values as they leave a run, both columns.
fn values_leave_in_both_formats() {
    let rows = [
        ("'text'", r#""text""#, r#""text""#),
        ("true", "true", "true"),
        ("null", "null", "null"),
        ("[]", "[]", "[]"),
        ("({})", "{}", "{}"),
        ("({a: undefined})", r#"{"a":{"$undefined":true}}"#, "{}"),
        ("[undefined]", r#"[{"$undefined":true}]"#, "[null]"),
        ("5", r#"{"$numberInt":"5"}"#, "5"),
        ("-2147483648", r#"{"$numberInt":"-2147483648"}"#, "-2147483648"),
        ("2147483648", r#"{"$numberLong":"2147483648"}"#, "2147483648"),
        ("1565721223187", r#"{"$numberLong":"1565721223187"}"#, "1565721223187"),
        ("1/3", r#"{"$numberDouble":"0.3333333333333333"}"#, "0.3333333333333333"),
        ("1.5", r#"{"$numberDouble":"1.5"}"#, "1.5"),
        ("NaN", r#"{"$numberDouble":"NaN"}"#, "null"),
        ("-Infinity", r#"{"$numberDouble":"-Infinity"}"#, "null"),
        ("-0", r#"{"$numberDouble":"-0.0"}"#, "0"),
        ("BSON.Int32(5)", r#"{"$numberInt":"5"}"#, "5"),
        ("BSON.Long(5)", r#"{"$numberLong":"5"}"#, "5"),
        ("BSON.Double(5)", r#"{"$numberDouble":"5.0"}"#, "5"),
        ("BSON.Decimal128.fromString('0.10')", r#"{"$numberDecimal":"0.10"}"#, r#""0.10""#),
        (
            "BSON.ObjectId('5e58667d902d38559c802b13')",
            r#"{"$oid":"5e58667d902d38559c802b13"}"#,
            r#""5e58667d902d38559c802b13""#,
        ),
        ("new Date(0)", r#"{"$date":{"$numberLong":"0"}}"#, r#""1970-01-01T00:00:00.000Z""#),
        ("new Date(-1)", r#"{"$date":{"$numberLong":"-1"}}"#, r#""1969-12-31T23:59:59.999Z""#),
        ("new Date(8.64e15)", r#"{"$date":{"$numberLong":"8640000000000000"}}"#, r#""+275760-09-13T00:00:00.000Z""#),
        ("new Date(NaN)", "null", "null"),
        (
            "BSON.Binary.fromHex('6869', 5)",
            r#"{"$binary":{"base64":"aGk=","subType":"05"}}"#,
            r#"{"Subtype":5,"Data":"aGk="}"#,
        ),
        ("Buffer.from('hi')", r#"{"$binary":{"base64":"aGk=","subType":"00"}}"#, r#"{"Subtype":0,"Data":"aGk="}"#),
        (
            "new Uint8Array([104, 105])",
            r#"{"$binary":{"base64":"aGk=","subType":"00"}}"#,
            r#"{"Subtype":0,"Data":"aGk="}"#,
        ),
        (
            "BSON.UUID('00112233-4455-4677-8899-aabbccddeeff')",
            r#"{"$binary":{"base64":"ABEiM0RVRneImaq7zN3u/w==","subType":"04"}}"#,
            r#"{"Subtype":4,"Data":"ABEiM0RVRneImaq7zN3u/w=="}"#,
        ),
        ("/^H/i", r#"{"$regularExpression":{"pattern":"^H","options":"i"}}"#, r#"{"Pattern":"^H","Options":"i"}"#),
        (
            "BSON.BSONRegExp('^H', 'xi')",
            r#"{"$regularExpression":{"pattern":"^H","options":"ix"}}"#,
            r#"{"Pattern":"^H","Options":"ix"}"#,
        ),
        ("BSON.Timestamp({t: 1, i: 2})", r#"{"$timestamp":{"t":1,"i":2}}"#, r#"{"T":1,"I":2}"#),
        ("BSON.MinKey", r#"{"$minKey":1}"#, "{}"),
        ("BSON.MaxKey()", r#"{"$maxKey":1}"#, "{}"),
        ("({f() {}, s: Symbol('x'), a: 'b'})", r#"{"a":"b"}"#, r#"{"a":"b"}"#),
        ("[() => 1]", "[null]", "[null]"),
        ("Object.assign(new Error('m'), {a: 'b'})", r#"{"a":"b"}"#, r#"{"a":"b"}"#),
        ("({p: Promise.resolve('x')})", r#"{"p":"x"}"#, r#"{"p":"x"}"#),
        ("new Map([['a', 1]])", "{}", "{}"),
        ("Object.assign(new (class A {})(), {x: 'y'})", r#"{"x":"y"}"#, r#"{"x":"y"}"#),
        ("new (class A { toJSON() { return 'j'; } })()", r#""j""#, r#""j""#),
        ("({x: 'y', toJSON() { return 'j'; }})", r#"{"x":"y"}"#, r#"{"x":"y"}"#),
        ("({toBSON() { return {x: 'y'}; }})", r#"{"x":"y"}"#, r#"{"x":"y"}"#),
        ("5n", r#"{"$numberLong":"5"}"#, "5"),
        ("({'$oid': 'x', '__proto__x': 'y'})", r#"{"$oid":"x","__proto__x":"y"}"#, r#"{"$oid":"x","__proto__x":"y"}"#),
        ("EJSON.parse('{\"a\":{\"$numberLong\":\"5\"}}')", r#"{"a":{"$numberLong":"5"}}"#, r#"{"a":5}"#),
        ("EJSON.parse('[{\"$numberDouble\":\"2.0\"}]')", r#"[{"$numberDouble":"2.0"}]"#, "[2]"),
        (
            "EJSON.parse('{\"a\":{\"$numberLong\":\"9223372036854775807\"}}')",
            r#"{"a":{"$numberLong":"9223372036854775807"}}"#,
            r#"{"a":9223372036854775807}"#,
        ),
    ];
    for (expression, canonical, json) in rows {
        let source = format!("exports = () => ({expression});");
        assert_eq!(case(&source).answer(), canonical, "canonical {expression}");
        let mut as_json = case(&source);
        as_json.result = ResultPolicy::Always(ResultFormat::Json);
        assert_eq!(as_json.answer(), json, "json {expression}");
    }
}

fn values_that_cannot_leave() {
    for expression in
        ["2n ** 64n", "(() => { const a = {}; a.a = a; return a; })()", "({get a() { throw Error('x'); }})"]
    {
        let outcome = case(&format!("exports = () => ({expression});")).run();
        assert!(outcome.result.is_err(), "{expression}");
    }
}

fn lines(outcome: &Outcome) -> Vec<(ConsoleLevel, &str)> {
    outcome.console.iter().map(|line| (line.level, line.text.as_str())).collect()
}

/// FN-81, FN-84 and 2.4: what console lines say.
fn console_lines() {
    let outcome = console_of(
        r#"exports = async () => {
            const loop = {}; loop.loop = loop;
            console.log("a", 1, {b: 2});
            console.warn(null, undefined, true, 10n, Symbol("s"));
            const { error } = console; error(new TypeError("bad"));
            await Promise.reject(new Error("late")).catch(console.error);
            console.log();
            console.log("%s", "x");
            console.log(loop);
            console.log({get a() { throw new Error("never"); }, toString() { throw new Error("never"); }});
            console.log(new Proxy({}, {get() { throw new Error("never"); }, ownKeys() { throw new Error("never"); }}));
            console.log(BSON.ObjectId("5e58667d902d38559c802b13"), new Date(0), [1.5]);
            console.count(); console.count();
            console.assert(1 === 1, "fine"); console.assert(false, "not", {so: 1});
            console.time("x"); console.timeEnd("x"); console.group("g"); console.groupEnd();
            console.log(Object.create(null));
        };"#,
    );
    let lines = lines(&outcome);
    let text: Vec<&str> = lines.iter().map(|(_, text)| *text).collect();
    assert_eq!(text[0], r#"a 1 {"b":2}"#);
    assert_eq!(lines[1], (ConsoleLevel::Warn, "null undefined true 10 Symbol(s)"));
    assert_eq!(lines[2], (ConsoleLevel::Error, "TypeError: bad"));
    assert_eq!(lines[3], (ConsoleLevel::Error, "Error: late"));
    assert_eq!(&text[4..6], ["", "%s x"]);
    assert!(text[6].contains("[Circular]"), "{}", text[6]);
    assert!(!text[7].contains("never") && !text[8].contains("never"), "{text:?}");
    assert_eq!(
        text[9], r#"{"$oid":"5e58667d902d38559c802b13"} {"$date":{"$numberLong":"0"}} [1.5]"#,
        "EJSON text, plain numbers"
    );
    assert_eq!(&text[10..13], ["default: 1", "default: 2", r#"Assertion failed: not {"so":1}"#]);
    assert_eq!(&text[13..], ["{}"]);
}

/// FN-82, FN-83 and attack 83: bounds of the console.
fn console_bounds() {
    let outcome = console_of("exports = () => { for (let i = 0; i < 1000; i++) console.log(i); };");
    assert_eq!(outcome.console.len(), 25);
    assert_eq!(outcome.console[24].text, "24");

    let outcome = console_of(
        r#"exports = () => { console.log("\u20ac".repeat(1000)); console.log("x".repeat(1e8), "y".repeat(1e8));
            console.log({a: "z".repeat(1e7)}); console.log("\ud800"); };"#,
    );
    let lengths: Vec<usize> = outcome.console.iter().map(|line| line.text.len()).collect();
    assert_eq!(lengths[..2], [510, 512], "cut on a character boundary");
    assert!(lengths[2] <= 512);
    assert_eq!(outcome.console[3].text, "\u{fffd}");

    let replaced =
        "exports = () => { const lines = []; console.log = (m) => lines.push(m); console.log('x'); return lines; };";
    let outcome = console_of(replaced);
    assert_eq!((answer_of(&outcome).as_str(), outcome.console.len()), (r#"["x"]"#, 0));
    let next = console_of("exports = () => console.log('original');");
    assert_eq!(next.console.len(), 1, "the next run has the original");
}

/// Attacks 23, 25, 26, 37 and 78: big and moving inputs of our natives end in errors that can be caught.
fn big_and_moving_inputs() {
    let script = include_str!("values/big.js");
    check_script(script, &[]);
}

/// What `EJSON.parse` makes of single texts, seen through the canonical form.
fn ejson_rows() {
    let date = r#"{"$date":{"$numberLong":"1577836800000"}}"#;
    for (text, canonical) in [
        (r#"{"$date":"2020-01-01"}"#, date),
        (r#"{"$date":"2020-01-01T00:00:00Z"}"#, date),
        (r#"{"$date":"2020-01-01T00:00:00.000+0000"}"#, date),
        (r#"{"$date":"2020-01-01T02:00:00.000+02:00"}"#, date),
        (r#"{"$date":1577836800000}"#, date),
        (date, date),
        (r#"{"$date":{"$numberLong":"9223372036854775807"}}"#, "null"),
        (r#"{"$binary":"aGk=","$type":"00"}"#, r#"{"$binary":{"base64":"aGk=","subType":"00"}}"#),
        (r#"{"$regex":"a","$options":"i"}"#, r#"{"$regex":"a","$options":"i"}"#),
        (r#"{"$oid":"x","a":"b"}"#, r#"{"$oid":"x","a":"b"}"#),
        (r#"{"\u0024oid":"5e58667d902d38559c802b13"}"#, r#"{"$oid":"5e58667d902d38559c802b13"}"#),
        (r#"{"__proto__":{"$numberLong":"5"}}"#, r#"{"__proto__":{"$numberLong":"5"}}"#),
        (r#"{"a":{"$undefined":true}}"#, r#"{"a":{"$undefined":true}}"#),
        (r#"{"$symbol":"s"}"#, r#""s""#),
        ("9007199254740993", r#"{"$numberDouble":"9007199254740992.0"}"#),
    ] {
        let source = "exports = (text) => EJSON.stringify(EJSON.parse(text));";
        let argument = serde_json::to_string(text).expect("a text is JSON");
        let answer = case(source).arguments(&[&argument]).answer();
        assert_eq!(serde_json::from_str::<String>(&answer).expect("a text"), canonical, "{text}");
    }
    for text in [
        r#"{"$oid":"x"}"#,
        r#"{"$numberInt":"2147483648"}"#,
        r#"{"$numberLong":"1.5"}"#,
        r#"{"$numberDouble":"five"}"#,
        r#"{"$numberDecimal":"."}"#,
        r#"{"$date":"someday"}"#,
        r#"{"$binary":{"base64":"aGk","subType":"00"}}"#,
        r#"{"$timestamp":{"t":-1,"i":0}}"#,
    ] {
        let source = "exports = (text) => { try { return EJSON.parse(text); } catch (error) { return error instanceof Error; } };";
        let argument = serde_json::to_string(text).expect("a text is JSON");
        assert_eq!(case(source).arguments(&[&argument]).answer(), "true", "{text}");
    }
}

/// Attacks 7 and 40: depth costs memory, never native stack.
fn ejson_of_any_depth_and_size() {
    for body in [
        "const t = '['.repeat(1e5) + ']'.repeat(1e5); return EJSON.stringify(EJSON.parse(t)) === t;",
        "const t = '{\"a\":'.repeat(1e5) + '{\"$numberLong\":\"5\"}' + '}'.repeat(1e5); return EJSON.stringify(EJSON.parse(t)) === t;",
        "const t = '[' + '{\"$numberLong\":\"5\"},'.repeat(1e5) + '\"x\"]'; return EJSON.stringify(EJSON.parse(t)) === t;",
        "let a = []; for (let i = 0; i < 3e5; i++) a = [a]; try { EJSON.stringify(a); } catch (error) { return error instanceof RangeError; }",
        "let a = []; for (let i = 0; i < 3e5; i++) a = {a}; console.log(a); return true;",
    ] {
        assert_eq!(case(&format!("exports = () => {{ {body} }};")).answer(), "true", "{body}");
    }
}

/// Bounded run of the fuzz target: texts made from pieces of Extended JSON are parsed or refused, and what was parsed
/// keeps its canonical form through another round.
fn ejson_round_trips() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20 {
        let texts: Vec<String> = (0..200).map(|_| random_ejson(&mut state)).collect();
        let argument = serde_json::to_string(&texts).expect("texts are JSON");
        check_script(include_str!("values/round_trip.js"), &[&argument]);
    }
}

fn next(state: &mut u64, below: usize) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 33).unwrap_or(0) % below
}

/// A random Extended JSON text, damaged now and then.
fn random_ejson(state: &mut u64) -> String {
    let mut text = String::new();
    random_value(state, &mut text, 0);
    if next(state, 4) == 0 {
        let characters: Vec<char> = text.chars().collect();
        let at = next(state, characters.len());
        text =
            characters.iter().enumerate().filter(|(index, _)| *index != at).map(|(_, character)| *character).collect();
        if next(state, 2) == 0 {
            text.push(['}', '"', ']', ',', '\u{0}', '\\'][next(state, 6)]);
        }
    }
    text
}

fn random_value(state: &mut u64, text: &mut String, depth: usize) {
    const LEAVES: [&str; 44] = [
        "null",
        "true",
        "0",
        "-0",
        "5",
        "2147483648",
        "-2147483649",
        "1.5",
        "1e400",
        "1e-400",
        "9007199254740993",
        "\"\"",
        "\"\\ud800\"",
        "\"$oid\"",
        "\"\\u0000\"",
        "\"\u{20ac}\"",
        "{\"$oid\":\"5e58667d902d38559c802b13\"}",
        "{\"$oid\":\"5E58667D902D38559C802B13\"}",
        "{\"$oid\":\"x\"}",
        "{\"$oid\":5}",
        "{\"$numberInt\":\"5\"}",
        "{\"$numberInt\":\"x\"}",
        "{\"$numberLong\":\"5\"}",
        "{\"$numberLong\":\"-9223372036854775808\"}",
        "{\"$numberDouble\":\"1.0\"}",
        "{\"$numberDouble\":\"-0.0\"}",
        "{\"$numberDouble\":\"NaN\"}",
        "{\"$numberDouble\":\"-Infinity\"}",
        "{\"$numberDecimal\":\"1E+3\"}",
        "{\"$numberDecimal\":\"NaN\"}",
        "{\"$date\":{\"$numberLong\":\"-1\"}}",
        "{\"$date\":\"2020-02-29T23:59:59.5Z\"}",
        "{\"$date\":0}",
        "{\"$date\":{\"$numberLong\":\"9223372036854775807\"}}",
        "{\"$binary\":{\"base64\":\"aGk=\",\"subType\":\"80\"}}",
        "{\"$binary\":\"aGk=\",\"$type\":\"00\"}",
        "{\"$uuid\":\"00112233-4455-4677-8899-aabbccddeeff\"}",
        "{\"$regularExpression\":{\"pattern\":\"^a\\\\/\",\"options\":\"im\"}}",
        "{\"$timestamp\":{\"t\":4294967295,\"i\":0}}",
        "{\"$minKey\":1}",
        "{\"$maxKey\":1}",
        "{\"$undefined\":true}",
        "{\"$ref\":\"c\",\"$id\":{\"$oid\":\"5e58667d902d38559c802b13\"},\"$db\":\"d\"}",
        "{\"$code\":\"f\",\"$scope\":{\"a\":1}}",
    ];
    const KEYS: [&str; 10] = ["a", "b", "1", "0", "", "$set", "$oid", "__proto__", "constructor", "a.b"];
    match next(state, if depth > 6 { 3 } else { 6 }) {
        0..=2 => text.push_str(LEAVES[next(state, LEAVES.len())]),
        3 => {
            text.push('[');
            for index in 0..next(state, 4) {
                if index > 0 {
                    text.push(',');
                }
                random_value(state, text, depth + 1);
            }
            text.push(']');
        }
        _ => {
            text.push('{');
            for index in 0..next(state, 5) {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&serde_json::to_string(KEYS[next(state, KEYS.len())]).expect("a text is JSON"));
                text.push(':');
                random_value(state, text, depth + 1);
            }
            text.push('}');
        }
    }
}
