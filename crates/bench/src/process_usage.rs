//! CPU time and memory of a process and its children, from the kernel's process table.

use std::time::Duration;

/// The process and everything it started, directly or not.
fn family(root: u32) -> Vec<u32> {
    let mut members = vec![root];
    let mut index = 0;
    while let Some(parent) = members.get(index).copied() {
        let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
        members.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        // Threads other than the first may have started children as well.
        if let Ok(tasks) = std::fs::read_dir(format!("/proc/{parent}/task")) {
            for task in tasks.filter_map(Result::ok) {
                let path = task.path().join("children");
                let more = std::fs::read_to_string(path).unwrap_or_default();
                members.extend(more.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
            }
        }
        members.sort_unstable();
        members.dedup();
        index += 1;
    }
    members
}

/// User and system time so far.
pub fn cpu_time(root: u32) -> Duration {
    // SAFETY: a plain query of a constant of the system.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as f64;
    let ticks: f64 = family(root)
        .into_iter()
        .filter_map(|id| {
            let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
            Some(fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?)
        })
        .sum();
    Duration::from_secs_f64(ticks / ticks_per_second)
}

/// Sum of a field of `/proc/<id>/status`, such as `VmRSS` or `VmHWM`, in bytes.
pub fn status_bytes(root: u32, field: &str) -> u64 {
    family(root)
        .into_iter()
        .filter_map(|id| {
            let text = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        })
        .sum::<u64>()
        * 1024
}
