//! Attacks 1 to 43 and 78 to 83 with small limits. After each, the next run of the same app answers.

use std::time::{Duration, Instant};

use isolate::{HttpPayload, IsolatePool, Limits, Outcome, PoolStatus, ResultFormat, ResultPolicy, RunErrorKind};

use crate::harness::{Case, case, new_pool, payload};
use crate::trials;

pub fn trials() -> Vec<libtest_mimic::Trial> {
    trials![
        time,
        time_inside_the_host,
        memory,
        array_buffers,
        array_buffer_moves,
        stack,
        depth,
        output,
        thrown,
        console,
        operations_and_timers,
        overload_and_drain,
        threads_that_do_not_come_back,
        memory_comes_back,
    ]
}

fn small() -> Limits {
    Limits {
        wall_max: Duration::from_millis(1500),
        cpu_max: Duration::from_millis(200),
        heap_bytes_max: 32 << 20,
        array_buffer_bytes_max: 16 << 20,
        result_bytes_max: 1 << 20,
        ..Limits::default()
    }
}

fn attack(pool: &IsolatePool, key: &str, run: Case) -> Outcome {
    let host = std::sync::Arc::new(crate::harness::FakeHost::default());
    let mut run = run;
    run.limits = Limits { console_lines_max: run.limits.console_lines_max, ..small() };
    // One deployment per attack.
    let key = format!("{key} {:?}", run.functions[0].source);
    run.key.clone_from(&key);
    run.functions.push(crate::harness::function("next", "exports = () => 'fine'"));
    let functions = run.functions.clone();
    let started = Instant::now();
    let outcome = run.run_on(pool, &host);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?} {:?}", functions[0].source, started.elapsed());
    // The next request of the same app is answered, in time.
    let mut run = case("");
    run.limits = Limits { wall_max: Duration::from_secs(20), cpu_max: Duration::from_secs(20), ..small() };
    run.key = key;
    run.functions = functions.clone();
    let mut invocation = run.invocation();
    invocation.entry = isolate::Entry::Function("next".into());
    let host: std::sync::Arc<dyn isolate::Host> = host;
    let started = Instant::now();
    let next = crate::harness::front().block_on(pool.run(invocation, host));
    assert!(next.result.is_ok(), "after {:?}: {:?}", functions[0].source, next.result);
    assert!(started.elapsed() < Duration::from_secs(3), "after {:?}: {:?}", functions[0].source, started.elapsed());
    outcome
}

#[track_caller]
fn stopped(pool: &IsolatePool, key: &str, body: &str, kinds: &[RunErrorKind]) {
    let outcome = attack(pool, key, case(&format!("exports = async function () {{ {body} }};")));
    let error = outcome.result.expect_err(body);
    assert!(kinds.contains(&error.kind), "{body}: {error:?}");
}

fn time() {
    use RunErrorKind::{CpuTime, NeverSettles, WallTime};
    let pool = new_pool(2);
    let cpu = &[CpuTime, WallTime][..];
    for body in [
        "while (true) {}",
        "await null; while (true) {}",
        "(function f() { Promise.resolve().then(f) })(); await new Promise(() => {})",
        "(async function f() { setTimeout(f, 0) })(); await new Promise(() => {})",
        "for (;;) await null",
        "const s = 'a'.repeat(40) + 'b'; /^(a|a)*\\1$/.test(s)",
        "[3, 2, 1, 0, 5, 6].sort(() => { for (;;); })",
        "const o = { get x() { for (;;); } }; o.x",
        "new Proxy({}, { get() { for (;;); } }).x",
        "function* g() { try { yield 1 } finally { for (;;); } } for (const x of g()) break",
        "for (;;) { try { for (;;); } catch (e) {} finally { continue } }",
        "try { while (true) {} } finally { while (true) {} }",
        "const a = [0]; for (;;) a.fill(1)",
        "const f = a => { a.fill(1) }; for (;;) f([0, 1])",
        "let n = 3n; for (;;) n = n * n % (2n ** 60000n)",
        "for (;;) 'x'.repeat(100000).replace(/x/g, 'y')",
        "Error.prepareStackTrace = () => { for (;;); }; throw new Error('x')",
        "throw { toString() { for (;;); } }",
        "throw Object.assign(new Error('x'), { get stack() { for (;;); } })",
        "return { toBSON() { for (;;); } }",
        "return { get then() { for (;;); } }",
        "return { get a() { for (;;); } }",
        "return new Proxy({}, { ownKeys() { for (;;); } })",
        "return new Proxy([], { get() { for (;;); } })",
        "context.services.get('mongodb-atlas').db('d').collection('c').insertOne({ get x() { for (;;); } })",
        "new HTTPResponse().setStatusCode({ valueOf() { for (;;); } })",
        "console.log(new Proxy({}, { get() { for (;;); } })); for (;;);",
        "setTimeout(() => { for (;;); }, 1); await new Promise(() => {})",
        "queueMicrotask(function f() { queueMicrotask(f) }); return 1",
    ] {
        stopped(&pool, "time", body, cpu);
    }
    stopped(&pool, "time", "await new Promise(() => {})", &[NeverSettles]);
    stopped(
        &pool,
        "time",
        "await context.services.get('mongodb-atlas').db('d').collection('c').insertOne({hang: 1})",
        &[WallTime],
    );
    stopped(&pool, "time", "await new Promise(r => setTimeout(r, 60000))", &[WallTime]);
    stopped(&pool, "time", "await new Promise(() => setInterval(() => {}, 50))", &[WallTime]);
    let outcome = attack(&pool, "time", case("while (true) {} exports = 1;"));
    assert_eq!(outcome.result.expect_err("top level").kind, CpuTime);
    assert_eq!(pool.status().threads_parked, 0);
}

/// Attack 39: recursion through our own functions.
fn time_inside_the_host() {
    let pool = new_pool(1);
    let outcome = attack(&pool, "host", case("exports = () => context.functions.execute('main')"));
    let error = outcome.result.expect_err("endless");
    assert!(error.text.contains("RangeError") || error.kind == RunErrorKind::CpuTime, "{error:?}");
    let outcome =
        attack(&pool, "host", case("exports = async () => { await null; return context.functions.execute('main') }"));
    let error = outcome.result.expect_err("endless");
    assert!(matches!(error.kind, RunErrorKind::CpuTime | RunErrorKind::Heap | RunErrorKind::WallTime), "{error:?}");
    assert_eq!(pool.status().threads_parked, 0);
}

fn memory() {
    use RunErrorKind::{CpuTime, Heap, WallTime};
    let pool = new_pool(1);
    for body in [
        "const a = []; for (;;) a.push({ x: a.length, y: [a.length] })",
        "const m = new Map(); for (let i = 0; ; i++) m.set('k' + i, { i })",
        "let p = Promise.resolve(); for (;;) p = p.then(() => {})",
        "const fs = []; for (let i = 0; ; i++) fs.push(new Function('return ' + i))",
        "const rs = []; for (let i = 0; ; i++) { const r = new RegExp('a{' + i + '}b' + i); r.test('aab'); rs.push(r) }",
        "const a = []; for (;;) { a.push(new WeakRef({})); }",
        "for (;;) console.log('x'.repeat(1000))",
    ] {
        let outcome = attack(&pool, "memory", case(&format!("exports = async function () {{ {body} }};")));
        let error = outcome.result.expect_err(body);
        assert!(
            matches!(error.kind, Heap | CpuTime | WallTime) || error.text.starts_with("RangeError"),
            "{body}: {error:?}"
        );
    }
    let outcome =
        attack(&pool, "memory", case("exports = () => { const a = []; for (;;) a.push(new Array(1000).fill(1.5)) }"));
    let error = outcome.result.expect_err("too much");
    assert_eq!((error.kind, error.text.as_str()), (Heap, "memory limit exceeded"));
    assert_eq!(pool.status().threads_parked, 0, "{:?}", pool.status());
}

fn array_buffers() {
    let pool = new_pool(1);
    for body in [
        "new ArrayBuffer(2 ** 31)",
        "const C = new Uint8Array(1).buffer.constructor; new C(1, { maxByteLength: 2 ** 30 })",
        "class B extends ArrayBuffer {} new B(2 ** 30, { maxByteLength: 2 ** 30 })",
        "let n = 0; new ArrayBuffer(1, { get maxByteLength() { return n++ ? 2 ** 30 : 1 } }).resize(2)",
        "const a = []; for (;;) a.push(new ArrayBuffer(1, { maxByteLength: 1 << 20 }))",
        "const a = []; for (;;) a.push(new ArrayBuffer(1 << 20))",
        "Buffer.alloc(2 ** 32)",
        "const b = new ArrayBuffer(1, { maxByteLength: 2 ** 31 }); b.resize(2 ** 30)",
        "new Array(2 ** 32)",
        "'x'.repeat(2 ** 30)",
    ] {
        let outcome = attack(&pool, "buffers", case(&format!("exports = function () {{ {body} }};")));
        let error = outcome.result.expect_err(body);
        assert!(error.text.starts_with("RangeError"), "{body}: {error:?}");
    }
    // Garbage buffers do not count.
    let outcome = attack(
        &pool,
        "buffers",
        case("exports = () => { for (let i = 0; i < 100; i++) new ArrayBuffer(1 << 20); return 1 }"),
    );
    assert!(outcome.result.is_ok(), "{outcome:?}");
}

/// Attack 37: a buffer that shrinks while we read.
fn array_buffer_moves() {
    let pool = new_pool(1);
    let outcome = attack(
        &pool,
        "moves",
        case(
            "exports = () => { const b = new ArrayBuffer(1024, { maxByteLength: 4096 }); const v = new Uint8Array(b);
               const o = { get a() { b.resize(0); return 1 }, v, get z() { b.resize(4096); return v } };
               const d = new ArrayBuffer(8); const w = new Uint8Array(d);
               return [o, { get q() { structuredCloneLike(); return w } }];
               function structuredCloneLike() { d.transfer() } }",
        ),
    );
    assert!(outcome.result.is_ok(), "{outcome:?}");
}

fn stack() {
    let pool = new_pool(1);
    for body in [
        "(function f() { f() })()",
        "(function f() { JSON.stringify({ toJSON: f }) })()",
        "const o = { get x() { return this.x } }; o.x",
        "(function f() { [1].map(f) })()",
        "eval('('.repeat(100000))",
        "new RegExp('('.repeat(100000) + ')'.repeat(100000))",
        "(function f() { context.functions.execute({ toString: f }) })()",
    ] {
        let outcome = attack(&pool, "stack", case(&format!("exports = function () {{ {body} }};")));
        let error = outcome.result.expect_err(body);
        assert!(error.text.contains("Error: "), "{body}: {error:?}");
    }
    let outcome =
        attack(&pool, "stack", case(&format!("exports = () => {}1{}", "(".repeat(100_000), ")".repeat(100_000))));
    outcome.result.expect_err("too deep to parse");
    assert_eq!(pool.status().threads_parked, 0);
}

fn depth() {
    let pool = new_pool(1);
    let deep = "let o = {}; for (let i = 0; i < 1e5; i++) o = { o };";
    // Walked without native recursion, whatever the size limit then says.
    for body in [
        format!("{deep} return EJSON.stringify(o).length"),
        format!("{deep} return JSON.stringify(o).length"),
        format!("{deep} console.log(o); return 1"),
        format!("{deep} return EJSON.parse(EJSON.stringify(o)) instanceof Object"),
        "return EJSON.parse('['.repeat(1e5) + ']'.repeat(1e5)).length".to_owned(),
        "return EJSON.parse('{\"$a\":'.repeat(1e5) + '1' + '}'.repeat(1e5)) instanceof Object".to_owned(),
    ] {
        let outcome = attack(&pool, "depth", case(&format!("exports = function () {{ {body} }};")));
        assert!(outcome.result.is_ok(), "{body}: {:?}", outcome.result);
    }
    let outcome = attack(&pool, "depth", case(&format!("exports = () => {{ {deep} return o }}")));
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    // Attack 41: to a database no deeper than 100.
    let nested = |levels: u32| {
        format!(
            "exports = async () => {{ let o = {{}}; for (let i = 0; i < {levels}; i++) o = {{ o }};
               await context.services.get('mongodb-atlas').db('d').collection('c').insertOne(o) }}"
        )
    };
    assert!(attack(&pool, "depth", case(&nested(90))).result.is_ok());
    let error = attack(&pool, "depth", case(&nested(1000))).result.expect_err("too deep");
    assert!(error.text.contains("nested"), "{error:?}");
    // Deep chains that the collector or a destructor might recurse into (attack 35).
    for body in [
        "let f = () => {}; for (let i = 0; i < 1e5; i++) f = f.bind(null); try { f() } catch {} return 1",
        "let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); try { p.x } catch {} return 1",
        "let o = {}; for (let i = 0; i < 1e4; i++) o = Object.create(o); return o.missing === undefined",
    ] {
        let outcome = attack(&pool, "depth", case(&format!("exports = function () {{ {body} }};")));
        assert!(outcome.result.is_ok(), "{body}: {:?}", outcome.result);
    }
}

fn output() {
    use RunErrorKind::{CpuTime, NotSerializable, ResultTooLarge};
    let pool = new_pool(1);
    for body in [
        "return 'x'.repeat(2e6)",
        "const o = {}; for (let i = 0; i < 3e5; i++) o['key' + i] = i; return o",
        "const a = []; a.length = 2 ** 32 - 1; return a",
        "return Buffer.alloc(4e6)",
        "new HTTPResponse().setBody('x'.repeat(2e6))",
        "new HTTPResponse().setBody(Buffer.alloc(2e6))",
    ] {
        stopped(&pool, "output", body, &[ResultTooLarge, CpuTime]);
    }
    stopped(
        &pool,
        "output",
        "return new Proxy([], { ownKeys: () => Array.from({ length: 1e5 }, (_, i) => 'k' + i), getOwnPropertyDescriptor: () => ({ value: 1, enumerable: true, configurable: true }), get: () => new Proxy({}, {}) })",
        &[ResultTooLarge, CpuTime, NotSerializable],
    );
    let mut run =
        case("exports = (p, r) => { for (;;) r.addHeader('a', 'b'.repeat(1000)) }").http(HttpPayload::default());
    run.result = ResultPolicy::Always(ResultFormat::Json);
    let error = attack(&pool, "output", run).result.expect_err("too much");
    assert!(matches!(error.kind, ResultTooLarge | CpuTime), "{error:?}");
}

fn thrown() {
    let pool = new_pool(1);
    for body in [
        "throw null",
        "throw undefined",
        "throw 5",
        "const r = Proxy.revocable({}, {}); r.revoke(); throw r.proxy",
        "throw new Proxy(new Error('x'), { get() { throw 1 }, getPrototypeOf() { throw 2 } })",
        "throw { get toString() { throw 1 } }",
        "throw { toString() { throw 1 }, get a() { throw 2 } }",
        "throw Object.defineProperties(new Error('x'), { message: { get() { throw 1 } }, name: { get() { throw 2 } }, stack: { get() { throw 3 } } })",
        "throw Symbol('s')",
        "const o = {}; o.o = o; throw o",
        "class E extends Error { get [Symbol.toStringTag]() { throw 1 } } throw new E('x')",
        "Error.prepareStackTrace = () => { throw 1 }; throw new Error('x')",
        "Promise.reject(new Proxy({}, { get() { throw 1 } }))",
        "throw function named() {}",
    ] {
        let outcome = attack(&pool, "thrown", case(&format!("exports = function () {{ {body} }};")));
        outcome.result.expect_err(body);
    }
    assert_eq!(pool.status().isolates_discarded, 0);
}

fn console() {
    let pool = new_pool(1);
    let outcome = attack(
        &pool,
        "console",
        case(
            "exports = () => { const c = { n: 1 }; c.c = c; console.log('a', 1, { b: 2 }); console.log('x'.repeat(1000)); console.error(c);
               console.log(new Proxy({}, { get() { throw 1 }, ownKeys() { throw 2 } })); console.log({ get x() { console.log('again'); return 1 } });
               console.log('\u{1b}[31mred\\nnew line'); console.log('\u{fc}'.repeat(1000)); console.log({ toString() { throw 1 }, toJSON() { throw 2 } });
               for (let i = 0; i < 1000; i++) console.log(i); console.log('x'.repeat(1e7)); }",
        ),
    );
    outcome.result.expect("console calls never fail a run");
    let lines: Vec<&str> = outcome.console.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(lines.len(), 25);
    assert_eq!(lines[0], r#"a 1 {"b":2}"#);
    assert_eq!(lines[1].len(), 512);
    assert_eq!(lines[2], r#"{"n":1,"c":[Circular]}"#);
    assert!(lines[6].len() <= 512 && lines[6].chars().all(|character| character == '\u{fc}'), "{}", lines[6]);
}

fn operations_and_timers() {
    let pool = new_pool(1);
    let outcome = attack(
        &pool,
        "operations",
        case("exports = () => { for (let i = 0; i < 1e6; i++) setTimeout(() => {}, 1e6) }"),
    );
    let error = outcome.result.expect_err("too many timers");
    assert!(matches!(error.kind, RunErrorKind::PendingOperations | RunErrorKind::CpuTime), "{error:?}");
    let host = std::sync::Arc::new(crate::harness::FakeHost::default());
    let mut run = case(
        "exports = () => { const c = context.services.get('mongodb-atlas').db('d').collection('c'); try { for (let i = 0; i < 2000; i++) c.insertOne({hang: 1}) } catch (e) { return 'caught' } finally { return 'finally' } }",
    );
    run.limits = Limits { pending_operations_max: 1000, ..small() };
    let error = run.run_on(&pool, &host).result.expect_err("too many operations");
    assert_eq!(error.text, "exceeded max async work queue size of 1000");
    assert_eq!(error.kind, RunErrorKind::PendingOperations);
}

fn overload_and_drain() {
    let pool = IsolatePool::new(isolate::PoolOptions {
        threads: 1,
        isolates_per_thread_max: 2,
        queue_max: 3,
        ..Default::default()
    })
    .expect("a pool");
    let front = crate::harness::front();
    let started = Instant::now();
    let runs: Vec<_> = (0..12)
        .map(|_| {
            let mut run = case("exports = async () => { await new Promise(r => setTimeout(r, 100)); return 1 }");
            run.key = "overload".into();
            let (pool, invocation) = (pool.clone(), run.invocation());
            let host: std::sync::Arc<dyn isolate::Host> = std::sync::Arc::new(crate::harness::FakeHost::default());
            front.spawn(async move { pool.run(invocation, host).await })
        })
        .collect();
    let outcomes: Vec<Outcome> = front
        .block_on(async { futures::future::join_all(runs).await })
        .into_iter()
        .map(|outcome| outcome.expect("no panic"))
        .collect();
    let refused = outcomes
        .iter()
        .filter(|outcome| matches!(&outcome.result, Err(error) if error.kind == RunErrorKind::Overloaded))
        .count();
    let served = outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    assert!(served >= 3 && refused + served == 12, "{served} {refused}");
    assert!(started.elapsed() < Duration::from_secs(5));
    front.block_on(pool.drain());
    let PoolStatus { runs_active, runs_queued, .. } = pool.status();
    assert_eq!((runs_active, runs_queued), (0, 0));
    let host = std::sync::Arc::new(crate::harness::FakeHost::default());
    let error = case("exports = () => 1").run_on(&pool, &host).result.expect_err("draining");
    assert_eq!(error.kind, RunErrorKind::Draining);
}

/// Attacks 22, 28 and loops inside V8 that look at no termination: the thread is lost, the service is not.
fn threads_that_do_not_come_back() {
    let pool = new_pool(1);
    for body in ["Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1)", "'x'.repeat(2 ** 29 - 24).split('')"] {
        let outcome = attack(&pool, "lost", case(&format!("exports = function () {{ {body} }};")));
        outcome.result.expect_err(body);
    }
    assert!(pool.status().threads_parked >= 1, "{:?}", pool.status());
    for body in [
        "let s = 'x'; for (;;) { s += s + Math.random(); s.charCodeAt(0) }",
        "new Array(2 ** 27).fill(1.5)",
        "Array.from({ length: 2 ** 26 }, (_, i) => i)",
        "const m = new Map(); for (let i = 0; i < 2 ** 24; i++) m.set(i, i)",
    ] {
        let outcome = attack(&pool, "lost", case(&format!("exports = function () {{ {body} }};")));
        outcome.result.expect_err(body);
    }
}

fn memory_comes_back() {
    let pool = new_pool(1);
    let run = |body: &str| {
        let outcome =
            attack(&pool, "back", case(&format!("exports = async function (p, r) {{ {body} }};")).http(payload("x")));
        drop(outcome);
    };
    let resident = || {
        let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
        statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("pages") * 4096
    };
    for _ in 0..20 {
        run("return p.body.text()");
        run("const a = []; for (;;) a.push(new Array(1000).fill(1.5))");
    }
    let before = resident();
    for _ in 0..40 {
        run("return p.body.text()");
        run("const a = []; for (;;) a.push(new Array(1000).fill(1.5))");
    }
    for _ in 0..500 {
        run("globalThis.kept = p; return p.body.text()");
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 48 << 20, "{} MB more", grown >> 20);
    let status = pool.status();
    assert_eq!(status.threads_parked, 0);
}
