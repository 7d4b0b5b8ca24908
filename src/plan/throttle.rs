//! Which of the planned writes are made now: the one place that decides what waits. Pure.

use crate::{
    api::ClusterVersion,
    plan::{
        backoff::WriteBackoff,
        ledger::Ledger,
        moment::Moment,
        write::{Kind, RecordWrite, Write},
    },
};

/// The writes that are made now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chosen {
    /// None, if each has to wait; at most two.
    pub writes: Vec<Write>,
    /// Those of them that another writer has reverted.
    pub reverted: Vec<Kind>,
}

/// Chooses the writes that are made now.
///
/// A kind of write waits after a failure. A write that another writer has reverted is made once a minute. Of the others
/// the first is made, because the next ones depend on it.
#[must_use]
pub fn throttle(
    planned: &[Write],
    cluster_version: &ClusterVersion,
    backoff: &mut WriteBackoff,
    ledger: &Ledger,
    now: Moment,
) -> Chosen {
    let ready = without_failing(planned.to_vec(), |kind| backoff.is_failing(kind, now));
    if ready.is_empty() {
        backoff.settle(now);
    }
    let is_reverted = |write: &Write| ledger.is_reverted(write, cluster_version, now);
    let waits =
        |write: &Write| ledger.is_repeated(write, now) || (is_reverted(write) && ledger.must_wait(write.kind(), now));
    let writes = made_at_once(ready.into_iter().filter(|write| !waits(write)));
    let reverted = writes.iter().filter(|write| is_reverted(write)).map(Write::kind).collect();
    Chosen { writes, reverted }
}

/// The writes of kinds that do not wait after a failure. Restoring a text depends on the records.
pub(super) fn without_failing(mut writes: Vec<Write>, is_failing: impl Fn(Kind) -> bool) -> Vec<Write> {
    writes.retain(|write| {
        let rests_on_records = matches!(write, Write::Restore(_));
        !(is_failing(write.kind()) || rests_on_records && is_failing(Kind::Record))
    });
    writes
}

/// The first of the writes, and what is made together with it: the record of an accepted risk and its place in the
/// history. Neither lets the update through (the conditions do), and if one is missing it is restored from the other.
pub(super) fn made_at_once(writes: impl IntoIterator<Item = Write>) -> Vec<Write> {
    let mut writes = writes.into_iter();
    let first = writes.next();
    let is_record = matches!(first, Some(Write::Record(RecordWrite::Create(_))));
    let history = writes.next().filter(|second| is_record && matches!(second, Write::History(_)));
    first.into_iter().chain(history).collect()
}
