//! What a process costs, as Linux counts it.

use std::{fs, time::Duration};

/// Time on a processor so far, of all its threads.
pub fn busy(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a running process");
    let nanoseconds = tasks.flatten().filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// Resident memory now, in bytes.
pub fn resident(pid: u32) -> u64 {
    kilobytes(pid, "VmRSS:") * 1024
}

/// The part of it that is the process's own, and not pages of the binary that the kernel may drop, in bytes.
pub fn anonymous(pid: u32) -> u64 {
    kilobytes(pid, "RssAnon:") * 1024
}

/// The most that it ever was, in bytes.
pub fn peak(pid: u32) -> u64 {
    kilobytes(pid, "VmHWM:") * 1024
}

fn kilobytes(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a field of status");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
