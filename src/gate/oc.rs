//! What `oc adm upgrade` refuses by itself, whatever the cluster-version operator would do.

use crate::api::{ClusterVersion, Condition, ConditionStatus, names::condition};

/// The flag without which `oc` refuses any update while one of the [`warnings`] is there.
pub const WITH_WARNINGS: &str = "--allow-upgrade-with-warnings";

/// The conditions because of which `oc` refuses every update without [`WITH_WARNINGS`].
pub fn warnings(cluster_version: &ClusterVersion) -> impl Iterator<Item = &Condition> {
    [condition::INVALID, condition::FAILING, condition::PROGRESSING]
        .into_iter()
        .filter_map(|kind| cluster_version.condition(kind))
        .filter(|found| found.status == ConditionStatus::True)
}

/// [`WITH_WARNINGS`] with a blank before it, if it is needed; else nothing.
#[must_use]
pub fn flag(cluster_version: &ClusterVersion) -> &'static str {
    if warnings(cluster_version).next().is_some() { " --allow-upgrade-with-warnings" } else { "" }
}
