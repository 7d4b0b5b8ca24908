//! Reasons not to leave this minor: five sources, one file each, the risks that only another writer's condition reports, and
//! the condition that is their union.

mod admin_acks;
mod cluster_operators;
mod overrides;
mod reported;
mod updating;
mod vetoes;

use crate::{
    api::names::reason,
    gate::{Remedy, Snapshot, message},
};

/// A reason not to leave this minor. It never blocks a patch update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Risk {
    /// Unique within a verdict.
    pub name: String,
    /// Sentences for people: what is wrong and what to do.
    pub message: String,
    /// A link to documentation.
    pub url: Option<String>,
    /// What ends it, or says more about it.
    pub remedy: Remedy,
}

impl Risk {
    /// A risk whose link is the start of OpenShift's documentation.
    /// Its name may come from the cluster, and goes into reasons and labels.
    fn new(name: &str, message: String, remedy: Remedy) -> Self {
        Self { name: message::sanitize_name(name), message, url: Some(message::DOCUMENTATION.to_owned()), remedy }
    }
}

/// The condition `Upgradeable`, as the union of the risks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upgradeable {
    /// No risk holds: `True`, `AsExpected`.
    Yes,
    /// At least one holds: `False`.
    No {
        /// The risk's name, or `MultipleReasons`.
        reason: String,
        /// The risk's message, or one bullet for each.
        message: String,
    },
}

impl Upgradeable {
    /// The union of the risks.
    #[must_use]
    pub fn from_risks(risks: &[Risk]) -> Self {
        match risks {
            [] => Self::Yes,
            [risk] => Self::No { reason: risk.name.clone(), message: risk.message.clone() },
            several => Self::No {
                reason: reason::MULTIPLE_REASONS.to_owned(),
                message: message::risk::multiple_risks(several),
            },
        }
    }

    /// Whether minor and major updates may go ahead.
    #[must_use]
    pub fn holds(&self) -> bool {
        matches!(self, Self::Yes)
    }

    /// The condition's reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Yes => reason::AS_EXPECTED,
            Self::No { reason, .. } => reason,
        }
    }

    /// The condition's message.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Yes => message::UPGRADEABLE,
            Self::No { message, .. } => message,
        }
    }
}

/// A source of risks: a pure function. It returns none only if it knows that there is no risk.
type RiskSource = fn(&Snapshot) -> Vec<Risk>;

/// All sources, in the order in which their risks are listed.
const SOURCES: [RiskSource; 5] =
    [overrides::risks, cluster_operators::risks, admin_acks::risks, updating::risks, vetoes::risks];

/// Every risk that holds: those of our sources, and those that only another writer's `Upgradeable=False` reports.
#[must_use]
pub fn collect(snapshot: &Snapshot) -> Vec<Risk> {
    let mut risks: Vec<Risk> = SOURCES.iter().flat_map(|source| source(snapshot)).collect();
    let reported = reported::risks(snapshot, &risks);
    risks.extend(reported);
    risks
}
