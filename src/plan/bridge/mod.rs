//! The bridge: whether a patch update, or a rollback to the previous version, that a stock CVO refuses for overrides
//! alone is forced. Besides the removal of that force it is the only write to `spec`, so each condition against it has
//! a name.
//!
//! Two pure stages decide: [`candidate()`] checks the request, [`confirm()`] the cluster. The operator, `check` and
//! `update` all call these two.

mod candidate;
mod confirm;
pub mod skip_reason;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod unforce;

pub use crate::plan::write::ForcePatch;

pub use self::{
    candidate::{Candidate, candidate},
    confirm::{ClusterChecks, confirm},
};

/// What the bridge decides on a request: the write that forces it, or the first reason not to.
pub type ForceDecision = Result<ForcePatch, skip_reason::SkipReason>;
