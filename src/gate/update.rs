//! How a target relates to the current release, by SemVer precedence.

use semver::Version;

use crate::api::HistoryEntry;

/// The types of update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "lowercase")]
pub enum UpdateType {
    /// Higher, within the same major.minor: what users call a z-stream update.
    Patch,
    /// A higher minor of the same major.
    Minor,
    /// A higher major.
    Major,
    /// Lower: the previous version, of the same minor.
    Rollback,
    /// Lower in any other way.
    Downgrade,
    /// Equal precedence; build metadata does not count.
    Same,
    /// Either version is not SemVer.
    Unknown,
}

impl UpdateType {
    /// The value in the JSON of `check` and in labels of metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Whether such an update leaves the minor; risks block only these.
#[must_use]
pub fn would_leave_minor(update_type: UpdateType) -> bool {
    match update_type {
        UpdateType::Minor | UpdateType::Major => true,
        UpdateType::Patch | UpdateType::Rollback | UpdateType::Downgrade | UpdateType::Same | UpdateType::Unknown => {
            false
        }
    }
}

/// Classifies an update from `current` to `target`; `previous` is the version before `current`.
#[must_use]
pub fn classify(current: &str, target: &str, previous: Option<&str>) -> UpdateType {
    let (Ok(current), Ok(target)) = (Version::parse(current), Version::parse(target)) else {
        return UpdateType::Unknown;
    };
    match target.cmp_precedence(&current) {
        std::cmp::Ordering::Equal => UpdateType::Same,
        std::cmp::Ordering::Greater if target.major > current.major => UpdateType::Major,
        std::cmp::Ordering::Greater if target.minor > current.minor => UpdateType::Minor,
        std::cmp::Ordering::Greater => UpdateType::Patch,
        std::cmp::Ordering::Less => {
            let back_to_previous = previous
                .and_then(|previous| Version::parse(previous).ok())
                .is_some_and(|previous| target.cmp_precedence(&previous).is_eq());
            if back_to_previous && same_minor(&target, &current) { UpdateType::Rollback } else { UpdateType::Downgrade }
        }
    }
}

/// The version before the first of these history entries, and the type of that update.
#[must_use]
pub fn classify_entry(history: &[HistoryEntry]) -> (&str, UpdateType) {
    let [entry, older @ ..] = history else { return ("", UpdateType::Unknown) };
    let from = older.first().map_or("", |entry| &entry.version);
    let previous = older.iter().map(|entry| entry.version.as_str()).find(|version| *version != from);
    (from, classify(from, &entry.version, previous))
}

/// Whether both have the same major.minor.
#[must_use]
pub fn same_minor(a: &Version, b: &Version) -> bool {
    (a.major, a.minor) == (b.major, b.minor)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{UpdateType::*, *};

    #[rstest]
    #[case("4.21.1", "4.21.2", None, Patch)]
    #[case("4.21.1", "4.22.0", None, Minor)]
    #[case("4.21.1", "4.23.0", None, Minor)]
    #[case("4.21.1", "5.0.0", None, Major)]
    #[case("4.21.1", "4.21.1", None, Same)]
    #[case::build_metadata("4.21.1+a", "4.21.1+b", None, Same)]
    #[case::build_metadata_of_a_patch("4.21.1+z", "4.21.2+a", None, Patch)]
    #[case("4.21.2", "4.21.1", Some("4.21.1"), Rollback)]
    #[case::not_the_previous("4.21.2", "4.21.0", Some("4.21.1"), Downgrade)]
    #[case::another_minor("4.21.2", "4.20.9", Some("4.20.9"), Downgrade)]
    #[case::higher_minor_lower_major("5.0.0", "4.21.1", Some("4.21.1"), Downgrade)]
    #[case::previous_not_semver("4.21.2", "4.21.1", Some("old"), Downgrade)]
    #[case::prerelease("4.17.0-rc.6", "4.17.0", None, Patch)]
    #[case::prerelease_order("4.17.0-0.test-2024", "4.17.0-rc.6", None, Patch)]
    #[case::prerelease_of_the_next_minor("4.16.9", "4.17.0-rc.6", None, Minor)]
    #[case::numbers_not_letters("4.9.0", "4.10.0", None, Minor)]
    #[case::not_semver("4.21.1", "4.2", None, Unknown)]
    #[case::current_not_semver("latest", "4.21.1", None, Unknown)]
    #[case::empty("", "", None, Unknown)]
    fn classification(
        #[case] current: &str,
        #[case] target: &str,
        #[case] previous: Option<&str>,
        #[case] expected: UpdateType,
    ) {
        assert_eq!(classify(current, target, previous), expected);
    }
}
