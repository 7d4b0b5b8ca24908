//! What was written on which object, so that a revert by another writer is detected. A reverted write is made once
//! more, and then once a minute, because two writers that revert each other would write without end. A new verdict
//! never waits for that. Pure.

use std::time::Duration;

use serde_json::Value;

use crate::{
    api::{ClusterVersion, Condition, ConditionStatus, Generation, Uid, UpdateRecordStatus},
    plan::{
        conditions::Conditions,
        moment::Moment,
        role::{Role, owns_upgradeable},
        write::{Kind, OperatorWrite, RecordWrite, Write},
    },
};

/// Between two writes of what another writer reverts.
const CONTENDED: Duration = Duration::from_mins(1);
/// The loop runs at least as often.
const NEXT_LOOK: Duration = Duration::from_secs(15);
/// How many conditions are remembered: another writer may cause us to write two texts in turn.
const REMEMBERED: usize = 8;

/// Everything written that another writer might revert.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    entries: Vec<Entry>,
    /// The status that was written last to each UpdateRecord, if within the last minute.
    record_statuses: Vec<RecordStatus>,
    /// Until when each kind of write isn't made that another writer reverts.
    contended: Vec<(Kind, Moment)>,
}

/// A status of an UpdateRecord that was written.
#[derive(Clone, Debug, PartialEq)]
struct RecordStatus {
    /// Of the record.
    name: String,
    status: UpdateRecordStatus,
    at: Moment,
    /// It was written twice within a minute.
    is_repeated: bool,
}

/// Something written, and the uid of the ClusterVersion that it was for.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    uid: Uid,
    written: Written,
}

#[derive(Clone, Debug, PartialEq)]
enum Written {
    /// We owned all of `Upgradeable`.
    Owned,
    /// We did, and another writer has overwritten it.
    Overwritten,
    /// The conditions that we wrote.
    Conditions(Texts),
    /// The object had the desired conditions, written by any writer.
    Published(Texts),
    /// An accepted risk in the history, for the request of that generation.
    History { generation: Generation },
    /// A force, as the generation that it made, and the request before it. The request is forgotten while another
    /// replica leads.
    Force { generation: Generation, request: Option<(Value, Moment)> },
    /// The text of the entry that began then.
    Restore { started_time: String },
    /// The conditions of our ClusterOperator.
    Operator { conditions: Texts, at: Moment },
}

/// Status, reason and message of conditions.
type Texts = Vec<(ConditionStatus, String, String)>;

impl Ledger {
    /// Notes whether `Upgradeable` is ours. In a role that writes it, once ours and no longer so means that another
    /// writer gates.
    pub fn note_ownership(&mut self, cluster_version: &ClusterVersion, role: Role) {
        let uid = &cluster_version.metadata.uid;
        if owns_upgradeable(cluster_version) {
            self.replace(uid, Written::Owned);
        } else if matches!(role, Role::Replace | Role::Guard)
            && self.entries.iter().any(|entry| entry.uid == *uid && entry.written == Written::Owned)
        {
            self.replace(uid, Written::Overwritten);
        }
    }

    /// Whether another writer has overwritten `Upgradeable` once.
    #[must_use]
    pub fn is_overwritten(&self) -> bool {
        self.entries.iter().any(|entry| entry.written == Written::Overwritten)
    }

    /// Notes that the object has the conditions as they should be, so that a later revert is noticed.
    pub fn note_published(&mut self, cluster_version: &ClusterVersion, conditions: &Conditions) {
        let wanted = [&conditions.upgradeable, &conditions.release_accepted];
        if wanted.iter().all(|wanted| cluster_version.condition(&wanted.kind) == Some(*wanted)) {
            self.publish(&cluster_version.metadata.uid, wanted.map(texts).to_vec());
        }
    }

    /// A write was made, and has left the ClusterVersion so.
    pub fn wrote(&mut self, write: &Write, after: &ClusterVersion, now: Moment) {
        let (uid, generation) = (&after.metadata.uid, after.metadata.generation);
        match write {
            Write::Conditions(write) => {
                let written = write.conditions.iter().map(texts).collect::<Texts>();
                self.publish(uid, written.clone());
                let is_conditions = |entry: &Entry| matches!(entry.written, Written::Conditions(_));
                self.entries.retain(|entry| entry.written != Written::Conditions(written.clone()));
                self.entries.push(Entry { uid: uid.clone(), written: Written::Conditions(written) });
                if self.entries.iter().filter(|entry| is_conditions(entry)).count() > REMEMBERED
                    && let Some(oldest) = self.entries.iter().position(is_conditions)
                {
                    self.entries.remove(oldest);
                }
            }
            Write::History(_) => self.replace(uid, Written::History { generation }),
            Write::Force(force_patch) => {
                let request = Some((force_patch.request.clone(), now));
                self.replace(uid, Written::Force { generation, request });
            }
            Write::Restore(write) => {
                let written = Written::Restore { started_time: write.entry.started_time.clone() };
                self.entries.push(Entry { uid: uid.clone(), written });
            }
            Write::Operator(OperatorWrite::Create) => {
                self.entries.retain(|entry| !matches!(entry.written, Written::Operator { .. }));
            }
            Write::Operator(OperatorWrite::Status { conditions, .. }) => {
                let conditions = conditions.iter().map(texts).collect();
                self.replace(uid, Written::Operator { conditions, at: now });
            }
            Write::Record(RecordWrite::Status { name, status, .. }) => self.wrote_status(name, status, now),
            Write::Withdraw(_)
            | Write::Unforce(_)
            | Write::Record(RecordWrite::Create(_) | RecordWrite::Delete { .. }) => {}
        }
    }

    fn wrote_status(&mut self, name: &str, status: &UpdateRecordStatus, now: Moment) {
        self.record_statuses.retain(|written| now.since(written.at) < CONTENDED);
        let known = self.record_statuses.iter().position(|written| written.name == name);
        let before = known.map(|known| self.record_statuses.swap_remove(known));
        let is_repeated = before.is_some_and(|before| before.status == *status);
        let written = RecordStatus { name: name.to_owned(), status: status.clone(), at: now, is_repeated };
        self.record_statuses.push(written);
    }

    /// Whether another writer has reverted what that write is for: the very conditions that were published last are to
    /// be written again, or earlier ones while the object doesn't show those; the accepted risk of this very request is
    /// gone; or the request that was forced is there again without the force. A change of our own verdict is not a
    /// revert, even if another writer writes meanwhile or the verdict changes back.
    #[must_use]
    pub fn is_reverted(&self, write: &Write, cluster_version: &ClusterVersion, now: Moment) -> bool {
        let uid = &cluster_version.metadata.uid;
        match write {
            Write::Conditions(write) => self.published().is_some_and(|(of, published)| {
                let planned: Texts = write.conditions.iter().map(texts).collect();
                // `Upgradeable` comes first. If no other writer has changed it, our own verdict has changed.
                let is_our_change = planned.first() != published.first()
                    && shows(cluster_version, published.get(..1).unwrap_or_default());
                let wrote_before =
                    self.entries.iter().any(|entry| entry.written == Written::Conditions(planned.clone()));
                let is_earlier = !is_our_change && wrote_before && !shows(cluster_version, published);
                of == uid && (*published == planned || is_earlier)
            }),
            Write::History(_) => self.has_recorded(cluster_version),
            Write::Force(_) => self.entries.iter().any(|entry| {
                let Written::Force { request: Some((request, at)), .. } = &entry.written else { return false };
                let asked = cluster_version.spec.desired_update.as_ref();
                entry.uid == *uid
                    && asked.is_some_and(|asked| asked.raw == *request)
                    // Twice, as the write that comes after the wait is one against another writer, too.
                    && now.since(*at) < CONTENDED * 2
            }),
            Write::Withdraw(_) | Write::Unforce(_) | Write::Restore(_) | Write::Record(_) | Write::Operator(_) => false,
        }
    }

    /// Whether a status was written within the last minute, once for our ClusterOperator and twice for an UpdateRecord,
    /// and the object doesn't keep it: another writer may want something else there, and an API server whose CRD lacks a
    /// field drops that field each time.
    #[must_use]
    pub fn is_repeated(&self, write: &Write, now: Moment) -> bool {
        match write {
            Write::Operator(OperatorWrite::Status { conditions, .. }) => {
                let planned: Texts = conditions.iter().map(texts).collect();
                self.entries.iter().any(|entry| {
                    matches!(&entry.written, Written::Operator { conditions, at }
                        if now.since(*at) < CONTENDED && *conditions == planned)
                })
            }
            Write::Record(RecordWrite::Status { name, status, .. }) => self.record_statuses.iter().any(|written| {
                let is_same = written.name == *name && written.status == **status;
                is_same && written.is_repeated && now.since(written.at) < CONTENDED
            }),
            Write::Operator(OperatorWrite::Create)
            | Write::Record(RecordWrite::Create(_) | RecordWrite::Delete { .. })
            | Write::Conditions(_)
            | Write::History(_)
            | Write::Withdraw(_)
            | Write::Force(_)
            | Write::Unforce(_)
            | Write::Restore(_) => false,
        }
    }

    /// A reverted write was repeated: the next one waits for a minute.
    pub fn wrote_against_another(&mut self, kind: Kind, now: Moment) {
        self.contended.retain(|(known, _)| *known != kind);
        self.contended.push((kind, now + CONTENDED));
    }

    /// Whether such a write was made against another writer within the last minute. Conditions and a force wait for
    /// nothing but themselves; anything else waits for what is contended besides.
    #[must_use]
    pub fn must_wait(&self, kind: Kind, now: Moment) -> bool {
        let counts = |contended: Kind| contended == kind || !matches!(kind, Kind::Conditions | Kind::Force);
        self.contended.iter().any(|(contended, until)| counts(*contended) && now < *until)
    }

    /// Whether any was, or would have been but for the next look, which is yet to come: contention that goes on has no
    /// gaps.
    #[must_use]
    pub fn is_contended(&self, now: Moment) -> bool {
        self.contended.iter().any(|(_, until)| now < *until + NEXT_LOOK)
    }

    /// Whether the accepted risk of this very request was recorded in the history.
    #[must_use]
    pub fn has_recorded(&self, cluster_version: &ClusterVersion) -> bool {
        let metadata = &cluster_version.metadata;
        let recorded = Written::History { generation: metadata.generation };
        self.entries.iter().any(|entry| entry.uid == metadata.uid && entry.written == recorded)
    }

    /// Whether a force made this generation, even if another writer has removed the force since.
    #[must_use]
    pub fn has_forced(&self, cluster_version: &ClusterVersion) -> bool {
        let metadata = &cluster_version.metadata;
        self.entries.iter().any(|entry| {
            matches!(entry.written, Written::Force { generation, .. }
                if entry.uid == metadata.uid && generation == metadata.generation)
        })
    }

    /// Whether the text of the newest entry was put back once.
    #[must_use]
    pub fn has_restored(&self, cluster_version: &ClusterVersion) -> bool {
        let newest = cluster_version.history().first();
        self.entries.iter().any(|entry| {
            matches!(&entry.written, Written::Restore { started_time }
                if newest.is_some_and(|newest| newest.started_time == *started_time))
        })
    }

    /// The object is as it was earlier, so what was written since is gone. That another writer decides as well is not
    /// forgotten.
    pub fn forget_object(&mut self) {
        self.entries.retain(|entry| entry.written == Written::Overwritten);
    }

    /// Another replica leads, or none: what it writes meanwhile reverts nothing.
    pub fn step_down(&mut self) {
        self.contended.clear();
        self.record_statuses.clear();
        self.entries.retain_mut(|entry| match &mut entry.written {
            Written::Owned | Written::Overwritten | Written::Restore { .. } => true,
            Written::Force { request, .. } => {
                *request = None;
                true
            }
            Written::Conditions(_) | Written::Published(_) | Written::History { .. } | Written::Operator { .. } => {
                false
            }
        });
    }

    /// When each wait is over.
    pub fn deadlines(&self) -> impl Iterator<Item = Moment> {
        self.contended.iter().map(|(_, until)| *until)
    }

    fn published(&self) -> Option<(&Uid, &Texts)> {
        self.entries.iter().find_map(|entry| {
            let Written::Published(texts) = &entry.written else { return None };
            Some((&entry.uid, texts))
        })
    }

    fn publish(&mut self, uid: &Uid, texts: Texts) {
        if self.published().is_none_or(|(of, _)| of != uid) {
            self.entries.retain(|entry| !matches!(entry.written, Written::Conditions(_)));
        }
        self.replace(uid, Written::Published(texts));
    }

    /// Puts an entry in the place of the one of its kind.
    fn replace(&mut self, uid: &Uid, written: Written) {
        let kind = std::mem::discriminant(&written);
        let entry = Entry { uid: uid.clone(), written };
        match self.entries.iter_mut().find(|entry| std::mem::discriminant(&entry.written) == kind) {
            Some(known) => *known = entry,
            None => self.entries.push(entry),
        }
    }
}

fn texts(condition: &Condition) -> (ConditionStatus, String, String) {
    (condition.status, condition.reason.clone(), condition.message.clone())
}

/// Whether the object has conditions of these texts now.
fn shows(cluster_version: &ClusterVersion, wanted: &[(ConditionStatus, String, String)]) -> bool {
    let conditions = cluster_version.status.iter().flat_map(|status| &status.conditions);
    let now: Vec<_> = conditions.map(texts).collect();
    wanted.iter().all(|wanted| now.contains(wanted))
}

#[cfg(test)]
mod tests;
