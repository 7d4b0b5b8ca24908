//! Who gates a live cluster, and what the bridge would do with the update that is asked for: pure, from what was read.
//!
//! The decisions are the operator's own ([`role`], [`candidate`] and [`confirm`]); this module writes their texts.

use std::time::Duration;

use serde::Serialize;

use crate::{
    gate::Snapshot,
    plan::{
        bridge::{ClusterChecks, ForcePatch, candidate, confirm, skip_reason::SkipReason},
        record_wait::RecordWait,
        role::{CvoLease, Mode, Role, RoleInput, role},
    },
};

/// What a live cluster shows beside the sources of the verdict; `None` for what can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// The Lease of the cluster-version operator.
    pub cvo: CvoLease,
    /// Whether our operator renews its Lease.
    pub running: Option<bool>,
    /// The mode in which it runs, if it does.
    pub mode: Option<Mode>,
    /// Whether its Deployment is there.
    pub installed: Option<bool>,
    /// Whether the admission policy and its binding that denies are there.
    pub policy: Option<bool>,
}

/// Who gates the cluster. A null is something that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GateReport {
    /// How mode `auto` would act: `replace`, `guard`, `bridge`, or `undecided`.
    pub mode: &'static str,
    /// Why so.
    pub why: &'static str,
    /// The admission policy, with a binding that denies.
    pub policy_installed: Option<bool>,
    /// The operator's Deployment, or any sign of life of it.
    pub operator_installed: Option<bool>,
    /// The operator renews its Lease.
    pub operator_running: Option<bool>,
    /// The mode in which it runs; null as well while it does not run.
    pub operator_mode: Option<Mode>,
    /// What the bridge would do with the request; null in the other modes.
    pub bridge: Option<BridgeReport>,
}

/// What the bridge would do with `spec.desiredUpdate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BridgeReport {
    /// `letsThrough`, `onceDeployed`, `notInThisMode`, `leavesBlocked`, `nothingToDo` or `unknown`.
    pub decision: &'static str,
    /// The first condition that doesn't hold, in one word; null where all hold.
    pub reason: Option<&'static str>,
    /// The same as a sentence.
    pub message: String,
}

impl GateReport {
    /// What the operator in mode `auto` would make of a cluster that it hasn't seen before.
    #[must_use]
    pub fn new(snapshot: &Snapshot, seen: &Surroundings) -> Self {
        let (role, why) = first_role(snapshot, seen.cvo);
        Self {
            mode: role.as_str(),
            why,
            policy_installed: seen.policy,
            operator_installed: if seen.running == Some(true) { Some(true) } else { seen.installed },
            operator_running: seen.running,
            operator_mode: seen.mode,
            bridge: (role == Role::Bridge).then(|| BridgeReport::new(snapshot, *seen)),
        }
    }

    /// Titles and texts, for table and Markdown.
    #[must_use]
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let policy = match self.policy_installed {
            Some(true) => "installed: minor and major updates are denied at admission",
            Some(false) => "not installed, or it does not deny: nothing is denied at admission",
            None => "cannot be read with these rights",
        };
        let operator = match (self.operator_running, self.operator_installed) {
            (Some(true), _) => running(self.operator_mode),
            (Some(false), Some(true)) => "installed, but not running: its Lease is not renewed",
            (Some(false), Some(false)) => "not installed",
            (Some(false), None) => "not running; whether it is installed cannot be read with these rights",
            (None, Some(true)) => "installed; whether it runs cannot be read with these rights",
            _ => "cannot be read with these rights",
        };
        let mut lines = vec![
            ("Mode", format!("{}: {}", self.mode, self.why)),
            ("Policy", policy.to_owned()),
            ("Operator", operator.to_owned()),
        ];
        lines.extend(self.bridge.as_ref().map(|bridge| ("Bridge", bridge.message.clone())));
        lines
    }
}

/// What an operator does that runs in this mode. What it does in mode `auto` is the mode of the report.
fn running(mode: Option<Mode>) -> &'static str {
    match mode {
        Some(Mode::Auto) | None => "running",
        Some(Mode::Bridge) => {
            "running in mode bridge: it decides about no request, and forces what is blocked for overrides alone"
        }
        Some(Mode::Replace) => "running in mode replace: it decides about requests itself, and forces nothing",
        Some(Mode::Observe) => "running in mode observe: it writes only events, so it blocks and forces nothing",
    }
}

/// The role that mode `auto` begins with. Without the right to read the CVO's Lease it is known where the Lease doesn't
/// matter.
fn first_role(snapshot: &Snapshot, lease: CvoLease) -> (Role, &'static str) {
    let with = |lease| {
        let evidence = RoleInput {
            lease,
            overwritten: false,
            ungated_for: None,
            vacant_after: Duration::MAX,
            before: Role::Undecided,
        };
        role(Mode::Auto, &snapshot.cluster_version, &evidence)
    };
    let (found, why) = with(lease);
    let [fresh, stale, absent] = [CvoLease::Fresh, CvoLease::Stale, CvoLease::Absent].map(with);
    if found == Role::Undecided && fresh == stale && stale == absent { fresh } else { (found, why) }
}

impl BridgeReport {
    /// Whether the request goes ahead with upgrade-gate, now or once it is deployed.
    #[must_use]
    pub fn goes_ahead(&self) -> bool {
        matches!(self.decision, "letsThrough" | "onceDeployed")
    }

    fn new(snapshot: &Snapshot, seen: Surroundings) -> Self {
        let policy = seen.policy;
        let asked = asked_for(snapshot);
        let report = |decision, reason: Option<SkipReason>, message| Self {
            decision,
            reason: reason.map(SkipReason::as_str),
            message,
        };
        let decide = |policy_installed| {
            let checks = ClusterChecks {
                policy_installed,
                // Where the Lease can't be read, the answer is what follows if a CVO runs.
                cvo: if seen.cvo == CvoLease::Unknown { CvoLease::Fresh } else { seen.cvo },
                // The operator writes it when it acts.
                record: RecordWait::Writable,
                record_missing_for: Duration::ZERO,
            };
            candidate(snapshot).and_then(|candidate| confirm(candidate, &checks))
        };
        let no_bridge = NoBridge::new(seen);
        if let Some(no_bridge) = &no_bridge {
            match decide(true) {
                Ok(force_patch) => {
                    let message = format!("{}; {}", blocks(&name(&force_patch)), no_bridge.blocked);
                    return report(no_bridge.decision, None, message);
                }
                Err(skip_reason @ SkipReason::NoRequest) => {
                    let message = format!("{} {}", skip_reason.message(), no_bridge.nothing_requested);
                    return report("nothingToDo", Some(skip_reason), message);
                }
                // The reason applies to a bridge as well, and is reported below.
                Err(_) => {}
            }
        }
        // Where no bridge is, a missing policy is no reason of its own.
        let policy = if no_bridge.is_none() { policy } else { Some(true) };
        match (decide(policy.unwrap_or(true)), policy) {
            (Ok(force_patch), Some(_)) if seen.cvo == CvoLease::Unknown => {
                let blocks = blocks(&name(&force_patch));
                let message = format!("{blocks}; the bridge would let it through if a cluster-version operator runs.");
                report("unknown", Some(SkipReason::NoCvo), message)
            }
            (Ok(force_patch), Some(_)) => {
                let message = format!("{}; the bridge would let it through.", blocks(&name(&force_patch)));
                report("letsThrough", None, message)
            }
            (Ok(force_patch), None) => {
                let blocks = blocks(&name(&force_patch));
                let message = format!("{blocks}; the bridge would let it through if the policy is installed.");
                report("unknown", Some(SkipReason::NoPolicy), message)
            }
            (Err(skip_reason @ SkipReason::NoRequest), Some(false)) => {
                let message =
                    format!("{} It would let none through: {}", skip_reason.message(), SkipReason::NoPolicy.message());
                report("nothingToDo", Some(skip_reason), message)
            }
            (Err(skip_reason @ SkipReason::NoRequest), _) => {
                let message = format!(
                    "{} It would let through what is blocked for overrides alone and stays within the minor.",
                    skip_reason.message()
                );
                report("nothingToDo", Some(skip_reason), message)
            }
            (Err(skip_reason), _) if !skip_reason.holds_back() => report(
                "nothingToDo",
                Some(skip_reason),
                format!("It would leave {asked} alone: {}", skip_reason.message()),
            ),
            (Err(skip_reason), _) => {
                let message = if is_about_its_refusal(skip_reason) {
                    format!("{}; the bridge would leave it so: {}", blocks(&asked), skip_reason.message())
                } else {
                    format!("It would not let {asked} through: {}", skip_reason.message())
                };
                report("leavesBlocked", Some(skip_reason), message)
            }
        }
    }
}

/// What to say where no operator is the bridge.
struct NoBridge {
    /// The decision about an update that a bridge would let through.
    decision: &'static str,
    /// What becomes of that update, after the words that the CVO blocks it.
    blocked: &'static str,
    /// What would become of one, if none is requested.
    nothing_requested: &'static str,
}

impl NoBridge {
    /// `None` where an operator is the bridge, or may be.
    fn new(seen: Surroundings) -> Option<Self> {
        match seen.mode {
            Some(Mode::Observe) => Some(Self {
                decision: "notInThisMode",
                blocked: "the operator only observes, and leaves it so. `upgrade-gate update` lets it through.",
                nothing_requested: "The operator only observes, and would let none through; `upgrade-gate update` lets \
                                    through what is blocked for overrides alone and stays within the minor.",
            }),
            Some(Mode::Replace) => Some(Self {
                decision: "notInThisMode",
                blocked: "the operator forces nothing in mode replace, and leaves it so. Run it with --mode=auto.",
                nothing_requested: "The operator forces nothing in mode replace, and would let none through. Run it with \
                                    --mode=auto.",
            }),
            None if seen.installed == Some(false) && seen.running == Some(false) => Some(Self {
                decision: "onceDeployed",
                blocked: "it would be let through once upgrade-gate is deployed, or by `upgrade-gate update`.",
                nothing_requested: "Once upgrade-gate is deployed, it lets through what is blocked for overrides alone \
                                    and stays within the minor; `upgrade-gate update` does so with nothing deployed.",
            }),
            Some(Mode::Auto | Mode::Bridge) | None => None,
        }
    }
}

/// Whether this reason is about a request that the CVO blocks.
fn is_about_its_refusal(skip_reason: SkipReason) -> bool {
    match skip_reason {
        SkipReason::OtherPrecondition
        | SkipReason::NotPatch(_)
        | SkipReason::Blocked
        | SkipReason::Unfinished
        | SkipReason::NoPolicy
        | SkipReason::NoCvo
        | SkipReason::NoRecords => true,
        SkipReason::NoRequest
        | SkipReason::UnknownFields
        | SkipReason::Architecture
        | SkipReason::Forced
        | SkipReason::Invalid
        | SkipReason::NotRefused
        | SkipReason::MessageUnreadable
        | SkipReason::MessageOfAnother
        | SkipReason::NoOverrides => false,
    }
}

fn blocks(version: &str) -> String {
    format!("The cluster-version operator blocks {version}")
}

fn name(force_patch: &ForcePatch) -> String {
    force_patch.target_verdict.release.version.clone()
}

/// What the request names, its version where it has one.
fn asked_for(snapshot: &Snapshot) -> String {
    let request = snapshot.cluster_version.spec.desired_update.as_ref();
    let named = request.map(|request| if request.version.is_empty() { &request.image } else { &request.version });
    named.filter(|named| !named.is_empty()).map_or_else(|| "the request".to_owned(), Clone::clone)
}

#[cfg(test)]
mod tests;
