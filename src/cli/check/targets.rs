//! Which updates are judged, in which order, and which of them a person sees at first: a cluster may offer a hundred.

use std::cmp::Reverse;

use semver::Version;

use crate::{
    api::{ClusterVersion, Release},
    gate::{Target, release, request},
};

/// What is asked for, then what is available and conditional, each release once: the current minor first, then the next
/// ones, within each the newest first. What is no version comes last.
#[must_use]
pub fn targets(cluster_version: &ClusterVersion) -> Vec<Target> {
    let mut seen: Vec<Release> = Vec::new();
    let mut is_new = |target: &Target| {
        let known = request::with_loaded_version(cluster_version, target);
        let resolved = release::resolve(cluster_version, &known);
        // A request that contradicts itself is not a release of a list.
        if resolved.contradicts.is_some() {
            return true;
        }
        let known = seen.iter().any(|seen| release::same_release(seen.id(), resolved.release.id()));
        seen.push(resolved.release);
        !known
    };
    let mut targets: Vec<Target> = Target::requested(cluster_version).into_iter().filter(&mut is_new).collect();
    let mut listed: Vec<Target> = Target::listed(cluster_version).filter(&mut is_new).collect();
    let current = minor(&cluster_version.desired().version);
    listed.sort_by_cached_key(|target| {
        let version = Version::parse(&target.version).ok();
        let minor = minor(&target.version);
        // Minors below the current one come behind those above it.
        (version.is_none(), minor < current, minor, Reverse(version))
    });
    targets.append(&mut listed);
    targets
}

fn minor(version: &str) -> Option<(u64, u64)> {
    Version::parse(version).ok().map(|version| (version.major, version.minor))
}

/// A target, as far as it counts for which ones are shown.
pub struct Row<'a> {
    /// Its version, if it is one.
    pub version: &'a str,
    /// It was named, or is asked for.
    pub is_wanted: bool,
    /// The cluster lists it, or would take it: it can be the newest of its minor.
    pub is_offered: bool,
    /// Nothing is known against it on this cluster.
    pub is_recommended: bool,
}

/// Which of the targets are shown at first: what is wanted, and of each minor the newest, with the newest that is
/// recommended where that is another. What is no version is shown.
#[must_use]
pub fn shown(rows: &[Row<'_>]) -> Vec<bool> {
    if rows.iter().any(|row| row.is_wanted) && rows.iter().all(|row| row.is_wanted) {
        return vec![true; rows.len()];
    }
    let versions: Vec<Option<Version>> = rows.iter().map(|row| Version::parse(row.version).ok()).collect();
    let is_newest = |at: usize, counts: &dyn Fn(&Row<'_>) -> bool| {
        let counts = |row: &Row<'_>| row.is_offered && counts(row);
        let Some(version) = &versions[at] else { return true };
        let is_newer = |other: usize| {
            counts(&rows[other])
                && versions[other].as_ref().is_some_and(|other| {
                    (other.major, other.minor) == (version.major, version.minor) && other > version
                })
        };
        counts(&rows[at]) && !(0..rows.len()).any(is_newer)
    };
    (0..rows.len())
        .map(|at| rows[at].is_wanted || is_newest(at, &|_| true) || is_newest(at, &|row| row.is_recommended))
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn cluster(current: &str, request: &Value, available: &[&str], conditional: &[&str]) -> ClusterVersion {
        let release = |version: &&str| json!({"version": version, "image": format!("r/a@sha256:{version}")});
        let available: Vec<Value> = available.iter().map(release).collect();
        let conditional: Vec<Value> = conditional.iter().map(|version| json!({"release": release(version)})).collect();
        ClusterVersion::from_value(json!({
            "spec": {"desiredUpdate": request},
            "status": {"desired": {"version": current}, "availableUpdates": available, "conditionalUpdates": conditional},
        }))
        .unwrap()
    }

    #[rstest]
    #[case::by_number_and_not_by_letter(json!(null), &["4.21.2", "4.21.10", "4.21.9"], &[], &["4.21.10", "4.21.9", "4.21.2"])]
    #[case::the_current_minor_first(json!(null), &["4.22.0", "5.0.1", "4.21.2", "4.20.9"], &["4.22.1"],
        &["4.21.2", "4.22.1", "4.22.0", "5.0.1", "4.20.9"])]
    #[case::a_prerelease_is_older(json!(null), &["4.22.0-rc.1", "4.22.0"], &["4.22.0-rc.10"], &["4.22.0", "4.22.0-rc.10", "4.22.0-rc.1"])]
    #[case::no_version_last(json!(null), &["nightly", "4.22.0", "also"], &["4.21.2"], &["4.21.2", "4.22.0", "nightly", "also"])]
    #[case::what_is_asked_for_before_all(json!({"version": "4.22.0"}), &["4.21.2", "4.22.0"], &["4.21.3"], &["4.22.0", "4.21.3", "4.21.2"])]
    fn order(
        #[case] request: Value,
        #[case] available: &[&str],
        #[case] conditional: &[&str],
        #[case] expected: &[&str],
    ) {
        let found = targets(&cluster("4.21.1", &request, available, conditional));
        assert_eq!(found.iter().map(|target| target.version.as_str()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn without_a_current_version_minors_follow_each_other() {
        let found = targets(&cluster("latest", &json!(null), &["4.21.2", "4.20.3", "4.20.4"], &[]));
        assert_eq!(
            found.iter().map(|target| target.version.as_str()).collect::<Vec<_>>(),
            ["4.20.4", "4.20.3", "4.21.2"]
        );
    }

    #[rstest]
    #[case::newest_of_each_minor(&["+4.21.3", "+4.21.2", "+4.22.1", "+4.22.0", "+5.0.0"], &["4.21.3", "4.22.1", "5.0.0"])]
    #[case::and_the_newest_recommended(&["-4.21.4", "-4.21.3", "+4.21.2", "+4.21.1", "-4.22.1", "-4.22.0"], &["4.21.4", "4.21.2", "4.22.1"])]
    #[case::what_is_wanted(&["*4.21.2", "+4.21.4", "+4.21.3", "+4.22.0"], &["4.21.2", "4.21.4", "4.22.0"])]
    #[case::what_is_wanted_and_not_offered(&["!4.21.9", "+4.21.4", "+4.21.3"], &["4.21.9", "4.21.4"])]
    #[case::all_that_is_named(&["*4.21.2", "*4.21.3", "*4.21.2"], &["4.21.2", "4.21.3", "4.21.2"])]
    #[case::two_images_of_the_newest(&["+4.21.3", "+4.21.3", "+4.21.2"], &["4.21.3", "4.21.3"])]
    #[case::no_version(&["+nightly", "+", "+4.21.2"], &["nightly", "", "4.21.2"])]
    #[case::nothing(&[], &[])]
    fn what_is_shown_at_first(#[case] rows: &[&str], #[case] expected: &[&str]) {
        let rows: Vec<Row<'_>> = rows
            .iter()
            .map(|row| Row {
                version: &row[1..],
                is_wanted: row.starts_with(['*', '!']),
                is_offered: !row.starts_with('!'),
                is_recommended: !row.starts_with('-'),
            })
            .collect();
        let found: Vec<&str> =
            rows.iter().zip(shown(&rows)).filter(|(_, shown)| *shown).map(|(row, _)| row.version).collect();
        assert_eq!(found, expected);
    }
}
