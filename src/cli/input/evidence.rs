//! Whether the input contains the version that the cluster runs. Without it nothing can be compared, and every rule would only
//! warn, so there is no answer.

use crate::{
    api::{ClusterVersion, Release},
    gate::release::same_image,
};

/// The ClusterVersion with `status.desired` filled in from the history where a dump lacks it.
///
/// # Errors
/// What is missing.
pub fn with_current(mut cluster_version: ClusterVersion) -> Result<ClusterVersion, &'static str> {
    let Some(status) = &mut cluster_version.status else { return Err("no status") };
    if !status.desired.version.is_empty() {
        return Ok(cluster_version);
    }
    let image = &status.desired.image;
    // The newest entry is the release that the cluster reconciles towards.
    let newest = status.history.first();
    let of_image = newest.filter(|entry| image.is_empty() || same_image(&entry.image, image));
    let Some(entry) = of_image.filter(|entry| !entry.version.is_empty()) else {
        return Err("neither a version in status.desired nor one in the newest entry of status.history");
    };
    status.desired = Release { version: entry.version.clone(), image: entry.image.clone(), ..status.desired.clone() };
    Ok(cluster_version)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::desired(json!({"desired": {"version": "4.21.1"}}), Some("4.21.1"))]
    #[case::not_semver(json!({"desired": {"version": "latest"}}), Some("latest"))]
    #[case::history(json!({"history": [{"version": "4.21.1", "image": "a"}, {"version": "4.20.9"}]}), Some("4.21.1"))]
    #[case::nulls(json!({"desired": null, "history": [{"version": "4.21.1"}]}), Some("4.21.1"))]
    #[case::of_the_same_image(
        json!({"desired": {"image": "a"}, "history": [{"version": "4.21.1", "image": "a"}]}), Some("4.21.1"))]
    #[case::of_another_image(
        json!({"desired": {"image": "b"}, "history": [{"version": "4.21.1", "image": "a"}]}), None)]
    #[case::an_entry_without_a_version(
        json!({"history": [{"version": "", "image": "b"}, {"version": "4.21.1", "image": "a"}]}), None)]
    #[case::nothing_in_it(json!({}), None)]
    #[case::empty(json!({"desired": {"version": "", "image": ""}, "history": []}), None)]
    #[case::no_status(json!(null), None)]
    fn what_the_cluster_runs(#[case] status: Value, #[case] expected: Option<&str>) {
        let cluster_version = ClusterVersion::from_value(json!({"status": status})).unwrap();
        let found = with_current(cluster_version);
        assert_eq!(found.as_ref().ok().map(|found| found.desired().version.as_str()), expected);
    }
}
