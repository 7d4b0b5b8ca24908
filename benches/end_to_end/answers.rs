//! What the API server takes for its own answers, by its audit log.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::PathBuf,
    time::Duration,
};

use serde_json::Value;

const OPERATOR: &str = "system:serviceaccount:openshift-upgrade-gate:upgrade-gate";

/// The audit log from here on.
pub struct Answers {
    log: PathBuf,
    from: u64,
}

impl Answers {
    pub fn from_now(log: PathBuf) -> Self {
        let from = std::fs::metadata(&log).expect("the audit log").len();
        Self { log, from }
    }

    /// For how long the operator waited for at least one answer, until its first write to a ClusterVersion was answered.
    pub fn until_first_write(&self) -> Duration {
        let mut text = String::new();
        let mut log = File::open(&self.log).expect("the audit log");
        log.seek(SeekFrom::Start(self.from)).expect("its end");
        log.read_to_string(&mut text).expect("its lines");
        let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let of_operator = events.filter(|event| event["user"]["username"] == OPERATOR);
        let mut answered: Vec<(Duration, Duration, bool)> = of_operator
            .map(|event| {
                let time = |field: &str| {
                    let text = event[field].as_str().unwrap_or_default();
                    let time: jiff::Timestamp = text.parse().expect("a time");
                    Duration::try_from(time.as_duration()).expect("a time after 1970")
                };
                let is_write = event["verb"] == "patch" && event["objectRef"]["resource"] == "clusterversions";
                (time("requestReceivedTimestamp"), time("stageTimestamp"), is_write)
            })
            .collect();
        let end = answered.iter().filter(|(.., is_write)| *is_write).map(|(_, end, _)| *end).min();
        let end = end.expect("a write to ClusterVersion");
        answered.sort();
        let (mut sum, mut covered) = (Duration::ZERO, Duration::ZERO);
        for (from, to, _) in answered.into_iter().filter(|(from, ..)| *from < end) {
            let (from, to) = (from.max(covered), to.min(end));
            sum += to.saturating_sub(from);
            covered = covered.max(to);
        }
        sum
    }
}
