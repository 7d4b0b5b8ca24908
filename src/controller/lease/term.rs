//! What to do about the Lease, and until when this replica may write: pure. All times are of this machine's monotonic
//! clock. A deadline counts from the moment before the request that renewed the Lease was sent; the term of another
//! replica counts from the moment at which its last renewal was seen here. So clocks that differ between nodes, or
//! that are set, have no effect.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use tokio::time::Instant;

use crate::controller::config::LeaseConfig;

/// What was seen of the Lease last.
#[derive(Clone, Debug, PartialEq)]
pub enum LeaseState {
    /// Nothing that can be relied on: it has to be read.
    Unread,
    /// There is none.
    Absent,
    /// It is there.
    Present {
        /// Its `resourceVersion`; a patch of another version is rejected.
        version: String,
        /// As it is.
        spec: LeaseSpec,
        /// When its spec was first seen.
        since: Instant,
    },
}

/// What is done next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Nothing until then.
    Wait(Instant),
    /// Make this request.
    Send(Request),
}

/// A request about the Lease.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Read the Lease.
    Read,
    /// Create the Lease, held by this replica.
    Create,
    /// Take the Lease, which nobody holds any more.
    Take {
        /// The `resourceVersion` to patch.
        version: String,
        /// How often the Lease has changed hands then.
        transitions: i32,
    },
    /// Renew the Lease, which this replica holds.
    Renew {
        /// The `resourceVersion` to patch.
        version: String,
    },
}

/// One replica's view of the Lease.
#[derive(Debug)]
pub struct Term {
    identity: String,
    config: LeaseConfig,
    lease: LeaseState,
    /// When this replica renews the Lease that it holds.
    renew_at: Instant,
    /// No request is made before.
    pause_until: Instant,
    deadline: Option<Instant>,
}

impl Term {
    /// Nothing was seen yet.
    pub fn new(identity: String, config: LeaseConfig, now: Instant) -> Self {
        Self { identity, config, lease: LeaseState::Unread, renew_at: now, pause_until: now, deadline: None }
    }

    /// Until when this replica may write; `None` where it may not.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        self.deadline.filter(|deadline| now < *deadline)
    }

    /// The `resourceVersion` of the Lease where this replica holds it.
    pub fn held(&self) -> Option<&str> {
        match &self.lease {
            LeaseState::Present { version, spec, .. } if holder(spec) == Some(&self.identity) => Some(version),
            LeaseState::Present { .. } | LeaseState::Absent | LeaseState::Unread => None,
        }
    }

    /// What is done next.
    pub fn next(&self, now: Instant) -> Next {
        let (at, request) = self.request();
        let at = at.max(self.pause_until);
        if now < at { Next::Wait(at) } else { Next::Send(request) }
    }

    /// The next request, and when it is made, pauses apart.
    fn request(&self) -> (Instant, Request) {
        let LeaseState::Present { version, spec, since } = &self.lease else {
            let request = if self.lease == LeaseState::Absent { Request::Create } else { Request::Read };
            return (self.pause_until, request);
        };
        let version = version.clone();
        match holder(spec) {
            Some(holder) if holder == self.identity => (self.renew_at, Request::Renew { version }),
            holder => {
                let transitions = spec.lease_transitions.unwrap_or_default().saturating_add(1);
                let free_at = if holder.is_some() { *since + self.duration(spec) } else { *since };
                (free_at, Request::Take { version, transitions })
            }
        }
    }

    /// How long the holder may go without a renewal: the Lease's duration, or this replica's default.
    fn duration(&self, spec: &LeaseSpec) -> Duration {
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        seconds.filter(|&seconds| seconds > 0).map_or(self.config.duration, Duration::from_secs)
    }

    /// The Lease as the API server returned it for a read; `None` where there is none.
    pub fn read(&mut self, lease: Option<Lease>, now: Instant) {
        self.lease = match lease {
            None => LeaseState::Absent,
            Some(lease) => {
                let (version, spec) = parts(lease);
                let since = match &self.lease {
                    LeaseState::Present { spec: known, since, .. } if *known == spec => *since,
                    LeaseState::Present { .. } | LeaseState::Absent | LeaseState::Unread => now,
                };
                LeaseState::Present { version, spec, since }
            }
        };
        if self.held().is_none() {
            self.deadline = None;
        }
    }

    /// The Lease as a watch brought it; `None` where it was deleted. What is older than what is known is ignored.
    pub fn watched(&mut self, lease: Lease, is_deleted: bool, now: Instant) {
        let known = match &self.lease {
            LeaseState::Present { version, .. } => number(version),
            // The read that is to come knows better.
            LeaseState::Unread => return,
            LeaseState::Absent => None,
        };
        let version = lease.metadata.resource_version.as_deref().and_then(number);
        if known.zip(version).is_none_or(|(known, version)| version > known) {
            self.read((!is_deleted).then_some(lease), now);
        }
    }

    /// Something suggests that what is known is wrong: a list without the Lease, or a conflict.
    pub fn forget(&mut self) {
        self.lease = LeaseState::Unread;
    }

    /// A write that was sent at `sent` has made this replica the holder, or has renewed its Lease.
    pub fn written(&mut self, lease: Lease, sent: Instant) {
        self.read(Some(lease), sent);
        let margin = self.config.duration / 5;
        self.deadline = self.held().map(|_| sent + self.config.duration.saturating_sub(margin));
        self.renew_at = sent + self.config.renew_interval;
    }

    /// A request has failed: the next one waits.
    pub fn failed(&mut self, now: Instant) {
        self.pause_until = now + self.config.renew_interval / 2;
    }

    /// Another write came first: what is known is out of date, and the next write waits for a moment.
    pub fn conflicted(&mut self, now: Instant) {
        self.forget();
        self.pause_until = now + self.config.renew_interval / 10;
    }
}

fn holder(spec: &LeaseSpec) -> Option<&str> {
    spec.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

fn parts(lease: Lease) -> (String, LeaseSpec) {
    (lease.metadata.resource_version.unwrap_or_default(), lease.spec.unwrap_or_default())
}

fn number(version: &str) -> Option<u64> {
    version.parse().ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::role::Mode;

    const SECOND: Duration = Duration::from_secs(1);

    fn lease(version: &str, spec: &Value) -> Lease {
        serde_json::from_value(json!({"metadata": {"resourceVersion": version}, "spec": spec})).unwrap()
    }

    fn held_by(identity: &str, seconds: i32) -> Value {
        json!({"holderIdentity": identity, "leaseDurationSeconds": seconds, "leaseTransitions": 4,
            "renewTime": "2100-01-01T00:00:00.000000Z"})
    }

    fn term(now: Instant) -> Term {
        let config = LeaseConfig {
            namespace: String::new(),
            mode: Mode::Auto,
            duration: Duration::from_secs(15),
            renew_interval: 5 * SECOND,
        };
        Term::new("me".to_owned(), config, now)
    }

    fn take(version: &str) -> Next {
        Next::Send(Request::Take { version: version.to_owned(), transitions: 5 })
    }

    fn renew(version: &str) -> Next {
        Next::Send(Request::Renew { version: version.to_owned() })
    }

    #[test]
    fn it_is_read_first_and_created_where_it_is_missing() {
        let now = Instant::now();
        let mut term = term(now);
        assert_eq!(term.next(now), Next::Send(Request::Read));
        term.read(None, now);
        assert_eq!((term.next(now), term.deadline(now)), (Next::Send(Request::Create), None));
    }

    #[rstest]
    #[case::nobody(json!({"leaseTransitions": 4}), 0)]
    #[case::given_back(json!({"holderIdentity": "", "leaseTransitions": 4}), 0)]
    #[case::another(held_by("other", 20), 20)]
    #[case::another_that_does_not_say_for_how_long(json!({"holderIdentity": "other", "leaseTransitions": 4}), 15)]
    #[case::another_that_makes_no_sense(held_by("other", -1), 15)]
    fn a_lease_is_taken_once_nobody_has_renewed_it_for_its_duration(#[case] spec: Value, #[case] seconds: u64) {
        let now = Instant::now();
        let mut term = term(now);
        term.read(Some(lease("7", &spec)), now);
        let end = now + Duration::from_secs(seconds);
        if seconds > 0 {
            assert_eq!(term.next(end - Duration::from_millis(1)), Next::Wait(end));
            // Only a renewal extends the term, no other change of the object.
            term.watched(lease("8", &spec), false, now + SECOND);
            assert_eq!(term.next(end), take("8"));
            let mut renewed = spec.clone();
            renewed["renewTime"] = json!("2000-01-01T00:00:00.000000Z");
            term.watched(lease("9", &renewed), false, now + SECOND);
            assert_eq!(term.next(end), Next::Wait(end + SECOND));
        } else {
            assert_eq!(term.next(now), take("7"));
        }
        assert_eq!(term.deadline(now), None);
    }

    #[test]
    fn the_deadline_counts_from_before_the_renewal_was_sent() {
        let sent = Instant::now();
        let mut term = term(sent);
        term.read(Some(lease("7", &held_by("me", 15))), sent);
        assert_eq!((term.next(sent), term.deadline(sent)), (renew("7"), None));
        term.written(lease("8", &held_by("me", 15)), sent);
        assert_eq!(term.deadline(sent + 11 * SECOND), Some(sent + 12 * SECOND));
        assert_eq!(term.deadline(sent + 12 * SECOND), None);
        assert_eq!(term.next(sent + SECOND), Next::Wait(sent + 5 * SECOND));
        assert_eq!(term.next(sent + 5 * SECOND), renew("8"));
        term.failed(sent + 5 * SECOND);
        assert_eq!(term.next(sent + 5 * SECOND), Next::Wait(sent + Duration::from_millis(7500)));
        assert_eq!(term.deadline(sent + 6 * SECOND), Some(sent + 12 * SECOND), "a failure takes nothing away");
    }

    #[test]
    fn the_lead_is_lost_once_the_lease_is_another_s_or_gone() {
        let now = Instant::now();
        let led = || {
            let mut term = term(now);
            term.written(lease("8", &held_by("me", 15)), now);
            assert!(term.deadline(now).is_some());
            term
        };
        for (case, event, is_deleted, leads) in [
            ("another's", lease("9", &held_by("other", 15)), false, false),
            ("deleted", lease("9", &held_by("me", 15)), true, false),
            ("renewed", lease("9", &held_by("me", 15)), false, true),
            ("an old event", lease("7", &held_by("other", 15)), false, true),
            ("an old deletion", lease("7", &held_by("other", 15)), true, true),
        ] {
            let mut term = led();
            term.watched(event, is_deleted, now);
            assert_eq!(term.deadline(now).is_some(), leads, "{case}");
        }
        // A list that was made before the Lease was, or a conflict, proves nothing: it is read.
        let mut term = led();
        term.conflicted(now);
        assert_eq!(term.next(now), Next::Wait(now + Duration::from_millis(500)));
        assert_eq!(term.next(now + SECOND), Next::Send(Request::Read));
        assert!(term.deadline(now).is_some());
        term.read(Some(lease("10", &held_by("other", 15))), now);
        assert_eq!(term.deadline(now), None);
    }
}
