//! The four preconditions of a stock CVO, and its message about their findings.

use semver::Version;
use serde_json::Value;

use crate::Profile;
use crate::status::{bullets, condition, overrides_set, text};
use crate::upgradeable::OVERRIDES;

/// The finding of one precondition about a target.
pub(crate) struct Item {
    name: &'static str,
    reason: String,
    text: String,
    /// Whether it blocks the update; otherwise it is a warning.
    pub(crate) blocks: bool,
}

type Check = fn(Profile, &Value, &Version, &Version) -> Option<Found>;

/// The preconditions that compare versions.
const CHECKS: [(&str, Check); 3] =
    [("ClusterVersionRollback", rollback), ("ClusterVersionGiantHop", giant_hop), (UPGRADEABLE, upgradeable)];
const UPGRADEABLE: &str = "ClusterVersionUpgradeable";

/// Runs all preconditions on the ClusterVersion as it was read, so with `Upgradeable` as published.
pub(crate) fn run(profile: Profile, seen: &Value, target: &str) -> Vec<Item> {
    let current = text(&seen["status"]["desired"]["version"]);
    let gated = condition(seen, "Upgradeable")["status"] == "False";
    let mut items: Vec<Item> = Vec::new();
    for (name, check) in CHECKS.into_iter().filter(|(name, _)| gated || *name != UPGRADEABLE) {
        let found = match (Version::parse(current), Version::parse(target)) {
            (Err(error), _) => warns("InvalidCurrentVersion", format!("{current:?}: {error}")),
            (_, Err(error)) => blocks("InvalidDesiredVersion", format!("{target:?}: {error}")),
            (Ok(current), Ok(target)) => check(profile, seen, &current, &target),
        };
        items.extend(found.map(|found| found.of(name)));
    }
    items.extend(recommended(seen, target).map(|found| found.of("ClusterVersionRecommendedUpdate")));
    items
}

/// The message about all items; `None` without items.
pub(crate) fn summarize(items: &[Item]) -> Option<String> {
    let line = |item: &Item| format!("Precondition {:?} failed because of {:?}: {}", item.name, item.reason, item.text);
    match items {
        [] => None,
        [item] => Some(line(item)),
        items => Some(format!("Multiple precondition checks failed:{}", bullets(items.iter().map(line)))),
    }
}

struct Found {
    reason: String,
    text: String,
    blocks: bool,
}

impl Found {
    fn of(self, name: &'static str) -> Item {
        Item { name, reason: self.reason, text: self.text, blocks: self.blocks }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "what the checks return")]
fn blocks(reason: &str, text: String) -> Option<Found> {
    Some(Found { reason: reason.to_owned(), text, blocks: true })
}

#[expect(clippy::unnecessary_wraps, reason = "what the checks return")]
fn warns(reason: &str, text: String) -> Option<Found> {
    Some(Found { reason: reason.to_owned(), text, blocks: false })
}

fn rollback(_: Profile, seen: &Value, current: &Version, target: &Version) -> Option<Found> {
    if !target.cmp_precedence(current).is_lt() {
        return None;
    }
    let desired = &seen["status"]["desired"];
    let history = seen["status"]["history"].as_array().into_iter().flatten();
    let previous = history
        .into_iter()
        .find(|entry| entry["version"] != desired["version"] || entry["image"] != desired["image"])
        .and_then(|entry| Version::parse(text(&entry["version"])).ok());
    let same_minor = (target.major, target.minor) == (current.major, current.minor);
    if same_minor && previous.is_some_and(|previous| previous.cmp_precedence(target).is_eq()) {
        return None;
    }
    blocks("LowDesiredVersion", format!("{target} is lower than {current}, and rollback to it is not supported."))
}

fn giant_hop(profile: Profile, _: &Value, current: &Version, target: &Version) -> Option<Found> {
    if target.major > current.major {
        let is_allowed = profile != Profile::V4_21 && (current.major, target.major, target.minor) == (4, 5, 0);
        return if is_allowed {
            None
        } else {
            blocks("MajorVersionUpdate", format!("{target} is of a later major version than {current}."))
        };
    }
    if target.major == current.major && target.minor > current.minor + 1 {
        let message = format!("{target} is more than one minor version ahead of {current}.");
        return blocks("MultipleMinorVersionsUpdate", message);
    }
    None
}

/// Runs only while `Upgradeable` is `False`.
fn upgradeable(profile: Profile, seen: &Value, current: &Version, target: &Version) -> Option<Found> {
    let same_minor = (target.major, target.minor) == (current.major, current.minor);
    if target.cmp_precedence(current).is_gt() && !same_minor {
        let published = condition(seen, "Upgradeable");
        return blocks(text(&published["reason"]), text(&published["message"]).to_owned());
    }
    if overrides_set(seen) {
        let sentence = OVERRIDES.to_owned();
        return match profile {
            Profile::V4_21 => blocks("ClusterVersionOverridesSet", sentence),
            Profile::V4_22 | Profile::Main => warns("ClusterVersionOverridesSet", sentence),
        };
    }
    if !same_minor || condition(seen, "Progressing")["status"] != "True" {
        return None;
    }
    let history = seen["status"]["history"].as_array()?;
    let completed = history.iter().find(|entry| entry["state"] == "Completed").or(history.last())?;
    let from = Version::parse(text(&completed["version"])).ok()?;
    let sentence = format!("The update from {from} to {current} is still in progress.");
    if from.major < current.major {
        warns("MajorVersionClusterUpdateInProgress", sentence)
    } else if from.major == current.major && from.minor < current.minor {
        warns("MinorVersionClusterUpdateInProgress", sentence)
    } else {
        None
    }
}

fn recommended(seen: &Value, target: &str) -> Option<Found> {
    let list = |name: &str| seen["status"][name].as_array().into_iter().flatten();
    if list("availableUpdates").any(|release| release["version"] == target) {
        return None;
    }
    if let Some(update) = list("conditionalUpdates").find(|update| update["release"]["version"] == target) {
        let mut conditions = update["conditions"].as_array().into_iter().flatten();
        let Some(recommended) = conditions.find(|condition| condition["type"] == "Recommended") else {
            return warns("UnknownConditionType", format!("{target} has no condition Recommended."));
        };
        if recommended["status"] == "True" {
            return None;
        }
        let message = format!("{target} is not recommended: {}", text(&recommended["message"]));
        return warns(text(&recommended["reason"]), message);
    }
    if text(&seen["spec"]["channel"]).is_empty() {
        return warns("NoChannel", format!("No channel is set, so {target} is not a recommended update."));
    }
    warns("UnknownUpdate", format!("{target} is neither available nor conditional."))
}
