//! Benchmarks of the server against named references, all in one run on one machine.
//!
//! Every subject is a process of its own, driven over keep-alive HTTP/1.1 connections by this process. What is printed:
//! requests per second, requests per CPU-second of the subject (so that a subject with more threads has no advantage),
//! p50 and p99 latency, and peak memory; each as the median of the rounds and as a ratio to the first subject. Machines
//! are noisy: believe ratios of one run, nothing else.

mod load;
mod process_usage;
mod reference;
mod subject;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use load::{Pace, Request};
use subject::Subject;

const HELP: &str = "\
cargo xtask bench [FLAGS]

  --seconds N      length of one measurement (default 3)
  --rounds N       measurements of each subject; the median is printed (default 3)
  --connections N  concurrent connections (default 16)
  --mongodb URI    also measure the insertOne webhook on this MongoDB server
  --memory-runs N  largest number of runs in the memory test (default 100000; 0 leaves it out)
";

/// What the command line asked for.
struct Options {
    seconds: u64,
    rounds: usize,
    connections: usize,
    mongodb: Option<String>,
    memory_runs: usize,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.first().map(String::as_str) {
        Some("reference") => reference::serve(arguments.get(1).map_or("raw", String::as_str)),
        Some("--help" | "-h" | "help") => {
            print!("{HELP}");
            Ok(())
        }
        _ => parse(&arguments).and_then(|options| {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            runtime.block_on(run(&options))
        }),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options { seconds: 3, rounds: 3, connections: 16, mongodb: None, memory_runs: 100_000 };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| anyhow::anyhow!("{word} needs a value\n\n{HELP}"));
        match word.as_str() {
            "--seconds" => options.seconds = value()?.parse()?,
            "--rounds" => options.rounds = value()?.parse()?,
            "--connections" => options.connections = value()?.parse()?,
            "--mongodb" => options.mongodb = Some(value()?.clone()),
            "--memory-runs" => options.memory_runs = value()?.parse()?,
            other => anyhow::bail!("unknown flag {other}\n\n{HELP}"),
        }
    }
    anyhow::ensure!(options.rounds > 0 && options.seconds > 0 && options.connections > 0, "numbers start at 1");
    Ok(options)
}

/// One line of the table.
struct Line {
    name: String,
    requests_per_second: f64,
    requests_per_cpu_second: f64,
    p50: Duration,
    p99: Duration,
    peak_bytes: u64,
}

async fn run(options: &Options) -> Result<()> {
    let binary = selvedge_binary()?;
    let scratch = tempfile::tempdir()?;
    println!("{} rounds of {} s, {} connections; medians\n", options.rounds, options.seconds, options.connections);
    let hello = Request::get(&webhook("hello"));
    let echo = Request::post(&webhook("echo"), two_kilobytes());
    let insert = Request::post(&webhook("insert"), br#"{"item":"thread","metres":5}"#.to_vec());
    let mut plans: Vec<Plan> = Vec::new();
    for (kind, name) in [("raw", "hyper hello, raw"), ("hop", "hyper hello, one thread hop")] {
        plans.push((name.to_owned(), Box::new(move || Subject::reference(kind)), Request::get("/")));
    }
    let selvedge = |flags: Vec<String>| {
        let (binary, directory) = (binary.clone(), scratch.path().to_owned());
        Box::new(move || Subject::selvedge(&binary, &directory, &flags)) as Start
    };
    plans.push(("selvedge hello webhook, fresh global each".to_owned(), selvedge(Vec::new()), hello.clone()));
    plans.push(("selvedge echo webhook, 2 KB EJSON".to_owned(), selvedge(Vec::new()), echo));
    plans.push(("selvedge insertOne webhook, embedded store".to_owned(), selvedge(Vec::new()), insert.clone()));
    if let Some(uri) = &options.mongodb {
        let flags = vec!["--mongodb".to_owned(), uri.clone()];
        plans.push(("selvedge insertOne webhook, MongoDB".to_owned(), selvedge(flags), insert));
    }
    plans.push(("Node http, vm.createContext each".to_owned(), Box::new(Subject::node_vm), Request::get("/")));
    let directory = scratch.path().to_owned();
    plans.push((
        "workerd hello, shared global".to_owned(),
        Box::new(move || Subject::workerd(&directory)),
        Request::get("/"),
    ));
    let mut lines = Vec::new();
    for (name, start, request) in &plans {
        match measure(name, start.as_ref(), request, options).await {
            Ok(line) => lines.push(line),
            Err(error) => println!("left out: {name}: {error:#}"),
        }
    }
    print_table(&lines);
    half_load(&lines, &plans, options).await?;
    cold_start(&binary, scratch.path(), options).await?;
    if options.memory_runs > 0 {
        memory(&binary, scratch.path(), &hello, options).await?;
    }
    Ok(())
}

fn webhook(name: &str) -> String {
    format!("/api/client/v2.0/app/bench-abcde/service/bench/incoming_webhook/{name}")
}

/// An Extended JSON document of about two kilobytes.
fn two_kilobytes() -> Vec<u8> {
    let items: Vec<serde_json::Value> = (0..24)
        .map(|number| {
            serde_json::json!({
                "_id": {"$oid": format!("{number:024x}")}, "n": number, "name": format!("item {number}")
            })
        })
        .collect();
    serde_json::json!({ "at": {"$date": {"$numberLong": "1700000000000"}}, "items": items }).to_string().into_bytes()
}

/// The release binary beside this one.
fn selvedge_binary() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("selvedge");
    anyhow::ensure!(path.is_file(), "{} is not there: use `cargo xtask bench`, which builds it", path.display());
    Ok(path)
}

async fn measure(
    name: &str,
    start: &dyn Fn() -> Result<Subject>,
    request: &Request,
    options: &Options,
) -> Result<Line> {
    let mut rounds = Vec::new();
    for _ in 0..options.rounds {
        let subject = start()?;
        load::drive(&subject.address, request, options.connections, Duration::from_millis(700), Pace::Full).await?;
        let before = subject.cpu_time();
        let report = load::drive(
            &subject.address,
            request,
            options.connections,
            Duration::from_secs(options.seconds),
            Pace::Full,
        )
        .await?;
        let cpu = (subject.cpu_time() - before).as_secs_f64().max(0.001);
        let count = report.latencies.len() as f64;
        rounds.push(Line {
            name: name.to_owned(),
            requests_per_second: count / report.elapsed.as_secs_f64(),
            requests_per_cpu_second: count / cpu,
            p50: report.percentile(50.0),
            p99: report.percentile(99.0),
            peak_bytes: subject.peak_bytes(),
        });
    }
    rounds.sort_by(|left, right| left.requests_per_second.total_cmp(&right.requests_per_second));
    Ok(rounds.swap_remove(rounds.len() / 2))
}

fn print_table(lines: &[Line]) {
    let Some(first) = lines.first() else { return };
    println!(
        "{:<44} {:>10} {:>7} {:>12} {:>7} {:>9} {:>9} {:>9}",
        "subject", "req/s", "ratio", "req/CPU-s", "ratio", "p50 ms", "p99 ms", "peak MB"
    );
    for line in lines {
        println!(
            "{:<44} {:>10.0} {:>7.3} {:>12.0} {:>7.3} {:>9.3} {:>9.3} {:>9.1}",
            line.name,
            line.requests_per_second,
            line.requests_per_second / first.requests_per_second,
            line.requests_per_cpu_second,
            line.requests_per_cpu_second / first.requests_per_cpu_second,
            line.p50.as_secs_f64() * 1000.0,
            line.p99.as_secs_f64() * 1000.0,
            line.peak_bytes as f64 / 1_048_576.0,
        );
    }
    let find = |text: &str| lines.iter().find(|line| line.name.starts_with(text));
    if let (Some(ours), Some(node)) = (find("selvedge hello"), find("Node http")) {
        println!(
            "\nhello webhook against Node with a new vm context each, per CPU-second: {:.2}x",
            ours.requests_per_cpu_second / node.requests_per_cpu_second
        );
    }
}

/// Name of a subject, how to start it, and the request it is sent.
type Plan = (String, Start, Request);

/// Starts a subject.
type Start = Box<dyn Fn() -> Result<Subject>>;

/// Latency that we add over a hyper server with one thread hop, both at half of our own full load.
async fn half_load(lines: &[Line], plans: &[Plan], options: &Options) -> Result<()> {
    let Some(ours) = lines.iter().find(|line| line.name.starts_with("selvedge hello")) else { return Ok(()) };
    let rate = ours.requests_per_second / 2.0;
    let mut medians = Vec::new();
    for start in ["hyper hello, one", "selvedge hello"] {
        let Some((name, start, request)) = plans.iter().find(|(name, _, _)| name.starts_with(start)) else { continue };
        let mut rounds = Vec::new();
        for _ in 0..options.rounds {
            let subject = start()?;
            let length = Duration::from_secs(options.seconds);
            load::drive(&subject.address, request, options.connections, Duration::from_millis(700), Pace::Full).await?;
            let report =
                load::drive(&subject.address, request, options.connections, length, Pace::PerSecond(rate)).await?;
            rounds.push((report.percentile(50.0), report.percentile(99.0)));
        }
        rounds.sort();
        let (p50, p99) = rounds[rounds.len() / 2];
        println!("at {rate:.0} req/s: {name}: p50 {:.3} ms, p99 {:.3} ms", ms(p50), ms(p99));
        medians.push((p50, p99));
    }
    if let [reference, ours] = medians.as_slice() {
        println!(
            "added over one thread hop: p50 {:.3} ms, p99 {:.3} ms",
            ms(ours.0) - ms(reference.0),
            ms(ours.1) - ms(reference.1)
        );
    }
    Ok(())
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Time from starting the process to the first answer of the hello webhook, with an empty data directory and again.
async fn cold_start(binary: &std::path::Path, scratch: &std::path::Path, options: &Options) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..options.rounds.max(5) {
        let started = std::time::Instant::now();
        let subject = Subject::selvedge(binary, scratch, &[])?;
        load::once(&subject.address, &Request::get(&webhook("hello"))).await?;
        times.push(started.elapsed());
    }
    times.sort();
    println!("cold process to first answer: median {:.0} ms", ms(times[times.len() / 2]));
    Ok(())
}

/// Resident memory after growing numbers of runs.
async fn memory(
    binary: &std::path::Path,
    scratch: &std::path::Path,
    request: &Request,
    options: &Options,
) -> Result<()> {
    let subject = Subject::selvedge(binary, scratch, &[])?;
    let mut done = 0;
    let mut first = None;
    for target in [10, 10_000, 100_000].into_iter().filter(|target| *target <= options.memory_runs) {
        load::count(&subject.address, request, options.connections.min(target), target - done).await?;
        done = target;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let resident = subject.resident_bytes() as f64 / 1_048_576.0;
        let growth = resident - *first.get_or_insert(resident);
        println!("resident after {target:>6} runs: {resident:.1} MB ({growth:+.1} MB)");
    }
    Ok(())
}
