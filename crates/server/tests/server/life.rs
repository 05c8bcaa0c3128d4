//! Start, stop, crash.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::fixture::{Reply, SLOW, Server, is_worker, read_later, send_signal, wait_for};

fn begin(server: &Server, hook: &str) -> std::sync::mpsc::Receiver<String> {
    let mut stream = server.connect();
    let path = Server::hook(hook);
    stream.write_all(format!("POST {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).unwrap();
    read_later(stream)
}

#[test]
fn a_stop_lets_running_calls_finish() {
    for flags in [&["--workers", "2"][..], &["--single-process"]] {
        let mut server = Server::start(flags);
        let reply = begin(&server, "slow");
        std::thread::sleep(Duration::from_millis(400));
        let stopped = Instant::now();
        server.signal(libc::SIGTERM);
        wait_for("refused connections", || TcpStream::connect(&server.address).is_err().then_some(()));
        let reply = Reply::parse(&reply.recv().unwrap());
        assert_eq!((reply.status, reply.body.as_str()), (200, "\"slow\""), "{flags:?}");
        assert_eq!(server.wait().code(), Some(0), "{flags:?}");
        assert!(stopped.elapsed() < SLOW + Duration::from_secs(5), "{flags:?}");
    }
}

#[test]
fn a_connection_opened_before_a_stop_is_answered() {
    for flags in [&["--workers", "1"][..], &["--single-process"]] {
        let mut server = Server::start(flags);
        let mut stream = server.connect();
        std::thread::sleep(Duration::from_millis(200));
        server.signal(libc::SIGTERM);
        wait_for("refused connections", || TcpStream::connect(&server.address).is_err().then_some(()));
        let path = Server::hook("echo");
        stream.write_all(format!("POST {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).unwrap();
        let reply = Reply::parse(&read_later(stream).recv().unwrap());
        assert_eq!(reply.status, 200, "{flags:?}");
        assert_eq!(server.wait().code(), Some(0), "{flags:?}");
    }
}

#[test]
fn a_stop_waits_no_longer_than_its_deadline() {
    let mut server = Server::start(&["--shutdown-deadline", "500ms"]);
    let reply = begin(&server, "endless");
    std::thread::sleep(Duration::from_millis(300));
    let stopped = Instant::now();
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(stopped.elapsed() < Duration::from_secs(10), "{:?}", stopped.elapsed());
    assert_eq!(Reply::parse(&reply.recv().unwrap()).status, 0);
}

#[test]
fn a_second_signal_ends_everything_at_once() {
    for (flags, signal, code) in [
        (&["--workers", "2"][..], libc::SIGTERM, 143),
        (&["--workers", "1"], libc::SIGINT, 130),
        (&["--single-process"], libc::SIGTERM, 143),
    ] {
        let mut server = Server::start(flags);
        let workers = server.workers();
        let _reply = begin(&server, "endless");
        std::thread::sleep(Duration::from_millis(300));
        server.signal(signal);
        std::thread::sleep(Duration::from_millis(300));
        assert!(server.child.try_wait().unwrap().is_none(), "it waits for the running call");
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(code), "{flags:?}");
        wait_for("the workers' end", || workers.iter().all(|worker| !is_worker(*worker)).then_some(()));
    }
}

#[test]
fn a_killed_worker_is_replaced_while_others_serve() {
    let server = Server::start(&["--workers", "2"]);
    wait_for("both workers", || (server.workers().len() == 2).then_some(()));
    for _ in 0..3 {
        let before = wait_for("both workers", || Some(server.workers()).filter(|workers| workers.len() == 2));
        send_signal(before[0], libc::SIGKILL);
        // No request that comes now is lost: the sockets are the supervisor's.
        for _ in 0..20 {
            server.check_alive();
        }
        wait_for("a replacement", || {
            let now = server.workers();
            (now.len() == 2 && !now.contains(&before[0]) && now.contains(&before[1])).then_some(())
        });
    }
}

#[test]
fn requests_wait_for_the_replacement_of_the_only_worker() {
    let server = Server::start(&["--workers", "1"]);
    let before = server.workers();
    send_signal(before[0], libc::SIGKILL);
    server.check_alive();
    assert_ne!(server.workers(), before);
}

#[test]
fn a_worker_told_to_stop_finishes_and_is_replaced() {
    let server = Server::start(&["--workers", "1"]);
    let before = server.workers();
    let reply = begin(&server, "slow");
    std::thread::sleep(Duration::from_millis(300));
    send_signal(before[0], libc::SIGTERM);
    assert_eq!(Reply::parse(&reply.recv().unwrap()).status, 200);
    server.check_alive();
    wait_for("a replacement", || (!server.workers().contains(&before[0])).then_some(()));
}

#[test]
fn a_worker_that_lost_a_thread_is_replaced_and_no_request_is_lost() {
    let server = Server::start(&["--workers", "1", "--heap-max", "64MiB"]);
    let before = server.workers();
    let stuck = begin(&server, "stuck");
    let started = Instant::now();
    while server.workers() == before || server.workers().len() > 1 {
        server.check_alive();
        assert!(started.elapsed() < Duration::from_secs(60), "the worker is still there");
    }
    assert_eq!(Reply::parse(&stuck.recv().unwrap()).status, 400, "its own run got the documented error");
    let log = server.stderr.lock().unwrap().join("\n");
    assert!(log.contains("asking to be replaced"), "{log}");
    server.check_alive();
}

#[test]
fn workers_end_with_their_supervisor() {
    let mut server = Server::start(&["--workers", "2"]);
    let workers = server.workers();
    assert!(!workers.is_empty());
    server.signal(libc::SIGKILL);
    server.wait();
    wait_for("the workers' end", || workers.iter().all(|worker| !is_worker(*worker)).then_some(()));
}

#[test]
fn the_port_is_free_again_after_a_stop() {
    // Although connections of the old process are in TIME_WAIT.
    let mut server = Server::start(&[]);
    let address = server.address.clone();
    server.check_alive();
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));
    let directory = tempfile::tempdir().unwrap();
    crate::fixture::write_app(&directory.path().join("app"));
    let mut command = crate::fixture::binary();
    command.arg("serve").arg(directory.path().join("app")).args(["--listen", &address, "--data-dir"]);
    command.arg(directory.path().join("data"));
    let mut child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    wait_for("the second server", || TcpStream::connect(&address).ok());
    send_signal(child.id(), libc::SIGTERM);
    child.wait().unwrap();
}
