//! Arguments as a plugin of kubectl or oc: `oc upgrade-gate --to 4.21.2` means `upgrade-gate check --to 4.21.2`. Other commands
//! keep their names, as in `oc upgrade-gate cleanup`.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

/// What the name of a plugin ends with; kubectl reads the underscore as a hyphen.
const PLUGIN: &str = "-upgrade_gate";
/// The command that a plugin runs if none is named.
const CHECK: &str = "check";
/// These are about the program itself, under any name.
const OWN: [&str; 5] = ["-h", "--help", "help", "-V", "--version"];

/// The command that a person types, if this runs as a plugin, such as `oc upgrade-gate`; `None` for the program under its
/// own name.
#[must_use]
pub fn name(program: &OsStr) -> Option<String> {
    let file = Path::new(program).file_name()?.to_str()?;
    let client = file.strip_suffix(".exe").unwrap_or(file).strip_suffix(PLUGIN)?;
    Some(format!("{client} upgrade-gate"))
}

/// The arguments, starting with the program's name, with `check` inserted if a plugin was called with options alone. A word
/// that is no command is kept: it may be a mistyped one.
#[must_use]
pub fn arguments(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let is_plugin = arguments.first().is_some_and(|program| name(program).is_some());
    let is_said = arguments
        .get(1)
        .and_then(|first| first.to_str())
        .is_some_and(|first| !first.starts_with('-') || OWN.contains(&first));
    if is_plugin && !is_said {
        arguments.insert(1, CHECK.into());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("kubectl-upgrade_gate", Some("kubectl upgrade-gate"))]
    #[case("/usr/local/bin/oc-upgrade_gate", Some("oc upgrade-gate"))]
    #[case("oc-upgrade_gate.exe", Some("oc upgrade-gate"))]
    #[case("upgrade-gate", None)]
    #[case("/oc-upgrade_gate/upgrade-gate", None)]
    fn a_plugin_is_called_as_a_person_types_it(#[case] program: &str, #[case] expected: Option<&str>) {
        assert_eq!(name(OsStr::new(program)).as_deref(), expected);
    }

    #[rstest]
    #[case("kubectl-upgrade_gate", "kubectl-upgrade_gate check")]
    #[case("/usr/bin/oc-upgrade_gate --to 4.21.2", "/usr/bin/oc-upgrade_gate check --to 4.21.2")]
    #[case("oc-upgrade_gate check -o json", "oc-upgrade_gate check -o json")]
    #[case("oc-upgrade_gate cleanup --yes", "oc-upgrade_gate cleanup --yes")]
    #[case("oc-upgrade_gate --version", "oc-upgrade_gate --version")]
    #[case("oc-upgrade_gate help", "oc-upgrade_gate help")]
    #[case("oc-upgrade_gate histroy", "oc-upgrade_gate histroy")]
    #[case("oc-upgrade_gate 4.21.2", "oc-upgrade_gate 4.21.2")]
    #[case("oc-upgrade_gate -f cluster.yaml", "oc-upgrade_gate check -f cluster.yaml")]
    #[case("upgrade-gate", "upgrade-gate")]
    #[case("upgrade-gate --to 4.21.2", "upgrade-gate --to 4.21.2")]
    fn a_plugin_runs_check_unless_another_command_is_given(#[case] said: &str, #[case] meant: &str) {
        let meant: Vec<OsString> = meant.split(' ').map(OsString::from).collect();
        assert_eq!(arguments(said.split(' ').map(OsString::from)), meant);
    }
}
