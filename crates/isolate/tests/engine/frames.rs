//! `context`, nested calls and authority: FN-41 to FN-58.

use std::sync::Arc;

use isolate::{Authority, FrameAuthority};
use serde_json::json;

use crate::harness::{FakeHost, answer_of, case, check, function, pool};
use crate::trials;

pub fn trials() -> Vec<libtest_mimic::Trial> {
    trials![
        execute_by_reference,
        missing_functions,
        authority_of_frames,
        authority_does_not_leak,
        can_evaluate,
        run_as_scripts,
        context_members,
        context_is_shared,
        values_and_environment,
        system_user,
        hidden_globals,
    ]
}

fn execute_by_reference() {
    let run =
        |body: &str, callee: &str| case(&format!("exports = function () {{ {body} }};")).with("f", callee).answer();
    let execute = "context.functions.execute('f'";
    assert_eq!(
        run(&format!("const s = {execute}, 1, 2); return s + 1;"), "exports = (a, b) => a + b"),
        r#"{"$numberInt":"4"}"#
    );
    assert_eq!(run(&format!("return {execute}) instanceof Promise"), "exports = async () => 1"), "true");
    assert_eq!(run(&format!("return {execute}).f()"), "exports = () => ({ f: () => 5 })"), r#"{"$numberInt":"5"}"#);
    assert_eq!(
        run(&format!("const a = []; {execute}, a); return a"), "exports = a => { a.push(1) }"),
        r#"[{"$numberInt":"1"}]"#
    );
    assert_eq!(
        run(&format!("let x = 0; {execute}, () => {{ x = 9 }}); return x"), "exports = f => f()"),
        r#"{"$numberInt":"9"}"#
    );
    assert_eq!(
        run(
            &format!("try {{ {execute}) }} catch (e) {{ return e === saved }}"),
            "exports = () => { saved = new Error('x'); throw saved }"
        ),
        "true"
    );
    assert_eq!(
        run(&format!("return {execute}).length"), "exports = function () { return arguments }"),
        r#"{"$numberInt":"0"}"#
    );
    // Top-level code runs again for each call (1.3).
    assert_eq!(
        run(
            &format!("{execute}); {execute}); return n"),
            "n = (typeof n === 'undefined' ? 0 : n) + 1; exports = () => n"
        ),
        r#"{"$numberInt":"2"}"#
    );
    // FN-43
    let source = "exports = async () => (await context.functions.execute('f', 'x').findOne({})).a";
    let callee = "exports = name => context.services.get('mongodb-atlas').db('d').collection(name)";
    assert_eq!(case(source).with("f", callee).answer(), r#"{"$numberInt":"1"}"#);
    assert_eq!(
        case("exports = () => context.functions.execute('folder/f')").with("folder/f", "exports = () => 1").answer(),
        r#"{"$numberInt":"1"}"#
    );
    assert_eq!(
        case("exports = n => n === 0 ? 0 : 1 + context.functions.execute('main', n - 1)").arguments(&["20"]).answer(),
        r#"{"$numberInt":"20"}"#
    );
}

fn missing_functions() {
    check("try { context.functions.execute('nope') } catch (e) { return e.message }", "\"function not found: 'nope'\"");
    let mut run = case("");
    run.functions.clear();
    let (code, text) = run.failure();
    assert_eq!((code.as_str(), text.as_str()), ("FunctionNotFound", "function not found: 'main'"));
    let mut run = case("");
    run.functions[0].source = None;
    assert_eq!(run.failure().0, "FunctionNotFound");
}

const WRITE: &str = "context.services.get('mongodb-atlas').db('d').collection('c').insertOne({});";

fn authorities(run: crate::harness::Case) -> Vec<Authority> {
    let host = Arc::new(FakeHost { may_execute: true, ..FakeHost::default() });
    let outcome = run.run_on(pool(), &host);
    outcome.result.expect("success");
    let calls = host.calls.lock().expect("not poisoned");
    calls.iter().map(|call| call.authority.clone()).collect()
}

fn with_callee(run_as: FrameAuthority, authority: Authority) -> crate::harness::Case {
    let mut run = case(&format!("exports = async () => {{ await context.functions.execute('f'); await {WRITE} }}"));
    run.authority = authority;
    let mut callee = function("f", &format!("exports = () => {WRITE}"));
    callee.run_as = run_as;
    run.functions.push(callee);
    run
}

fn authority_of_frames() {
    use Authority::{System, User};
    let user = || User("u1".into());
    assert_eq!(authorities(with_callee(FrameAuthority::Inherit, System)), [System, System]);
    assert_eq!(authorities(with_callee(FrameAuthority::Inherit, user())), [user(), user()]);
    assert_eq!(authorities(with_callee(FrameAuthority::System, user())), [System, user()]);
    assert_eq!(authorities(with_callee(FrameAuthority::UserId("u2".into()), System)), [User("u2".into()), System]);
    let mut run = with_callee(FrameAuthority::System, user());
    run.may_execute = true;
    run.user = json!({"id": "u1", "type": "normal"});
    run.functions[0].source =
        Some("exports = () => [...context.functions.execute('f'), context.runningAsSystem()]".into());
    run.functions[1].source = Some("exports = () => [context.runningAsSystem(), context.user.type]".into());
    assert_eq!(run.answer(), r#"[true,"normal",false]"#);
}

/// FN-52 and attack 56: two frames interleave; a handle made by a system frame stays one, the caller's stays the caller's.
fn authority_does_not_leak() {
    let mut run = case(&format!(
        "exports = async () => {{ const p = context.functions.execute('f'); await {WRITE} await p; await {WRITE}
           context.runningAsSystem = () => true; context.user.type = 'system'; await {WRITE} }}"
    ));
    run.authority = Authority::User("u1".into());
    let mut callee = function("f", &format!("exports = async () => {{ await {WRITE} await null; await {WRITE} }}"));
    callee.run_as = FrameAuthority::System;
    run.functions.push(callee);
    let mut seen = authorities(run);
    let system = seen.iter().filter(|authority| **authority == Authority::System).count();
    seen.retain(|authority| *authority == Authority::User("u1".into()));
    assert_eq!((system, seen.len()), (2, 3));
}

fn can_evaluate() {
    let mut run = with_callee(FrameAuthority::Inherit, Authority::User("u1".into()));
    run.may_execute = false;
    let (_, text) = run.failure();
    assert_eq!(text, "Error: rule not matched for function \"f\"");
}

fn run_as_scripts() {
    let script = |source: &str| FrameAuthority::Script(source.to_owned());
    let picked = |source: &str| authorities(with_callee(script(source), Authority::System)).remove(0);
    assert_eq!(picked("exports = () => 'u9'"), Authority::User("u9".into()));
    assert_eq!(picked("exports = () => ({ runAsSystemUser: true })"), Authority::System);
    for source in [
        "exports = () => ({ __proto__: { runAsSystemUser: true } })",
        "exports = () => null",
        "exports = async () => 'u'",
        "exports = () => ''",
    ] {
        let mut run = with_callee(script(source), Authority::User("u1".into()));
        run.may_execute = true;
        let (_, text) = run.failure();
        assert!(text.contains("run-as script"), "{source}: {text}");
    }
}

fn context_members() {
    check(
        "return Object.keys(context).sort()",
        r#"["app","environment","functions","http","request","runningAsSystem","services","user","values"]"#,
    );
    check(
        "const copy = {...context}; return [copy.functions === context.functions, 'services' in context, typeof copy.services.get, context.https === undefined,
          Object.getOwnPropertyDescriptor(context, 'services').value === context.services, context.app.name, context.request.remoteIPAddress]",
        r#"[true,true,"function",true,true,"app","127.0.0.1"]"#,
    );
    check(
        "return [context.services.get('nope') === undefined, context.services.get('__proto__') === undefined, context.services.get() === undefined]",
        "[true,true,true]",
    );
}

fn context_is_shared() {
    let source = "exports = () => { context.functions.execute('f'); return [context.user.id, context.mine, context.values.get('x')]; }";
    let callee = "exports = () => { context.user.id = 'x'; context.mine = 1; context.values.get = () => 'replaced'; }";
    assert_eq!(case(source).with("f", callee).answer(), r#"["x",{"$numberInt":"1"},"replaced"]"#);
    // A callback uses the context of the frame that made it.
    let mut run = case("exports = () => [context.functions.execute('f')(), context.runningAsSystem()]");
    run.authority = Authority::User("u1".into());
    run.may_execute = true;
    let mut callee = function("f", "exports = () => () => context.runningAsSystem()");
    callee.run_as = FrameAuthority::System;
    run.functions.push(callee);
    assert_eq!(run.answer(), "[true,false]");
}

fn values_and_environment() {
    let mut run = case(
        "exports = function () { const t = context.values.get('theme'); t.a.b = 2;
           return [context.values.get('theme').a.b, context.values.get('nope'), context.environment.tag, context.environment.values.u,
             context.values.get('constructor'), context.values.get('__proto__'), context.values.get('toString'), context.environment.values.nope]; }",
    );
    run.values = json!({"theme": {"a": {"b": 1}}}).as_object().cloned().expect("an object");
    let undefined = r#"{"$undefined":true}"#;
    assert_eq!(
        run.answer(),
        format!(
            r#"[{{"$numberInt":"1"}},{undefined},"production","v",{undefined},{undefined},{undefined},{undefined}]"#
        )
    );
    let mut run = case(
        r#"exports = function () { return new Function("context", "return context.values.get('v');")(context); }"#,
    );
    run.values = json!({"v": "x"}).as_object().cloned().expect("an object");
    assert_eq!(answer_of(&run.run()), "\"x\"");
}

fn system_user() {
    check(
        "return [context.user.id.length, context.user.custom_data.x, context.user.type]",
        r#"[{"$numberInt":"0"},{"$undefined":true},"system"]"#,
    );
}

/// FN-58 and attack 50.
fn hidden_globals() {
    check(
        "return ['Deno', 'window', 'module', 'fetch', '__bootstrap', 'WebAssembly', 'SharedArrayBuffer', 'Atomics', 'prelude', 'native', 'self', 'document', 'ShadowRealm', 'Temporal']
           .filter(name => name in globalThis || eval('typeof ' + name) !== 'undefined')",
        "[]",
    );
    check(
        "return ['BSON', 'EJSON', 'HTTPResponse', 'console', 'utils', 'Buffer', 'process', 'setTimeout', 'URL', 'global', 'queueMicrotask'].filter(name => typeof globalThis[name] === 'undefined')",
        "[]",
    );
    check("return Object.keys(globalThis)", "[]");
    check(
        "BSON = 1; console = 2; HTTPResponse = 3; return [BSON, console, HTTPResponse]",
        r#"[{"$numberInt":"1"},{"$numberInt":"2"},{"$numberInt":"3"}]"#,
    );
    check("try { await import('data:text/javascript,1') } catch (e) { return e instanceof TypeError }", "true");
}
