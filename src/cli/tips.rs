//! What a person probably wanted who typed something that no command takes.

use std::ffi::OsString;

use crate::cli::check::commands::quote;

/// Options of other programs that name a file.
const FILE_OPTIONS: [&str; 4] = ["-f", "-F", "--file", "--filename"];
/// How files begin or end that `check` reads.
const FILES: [&str; 6] = [".yaml", ".yml", ".json", ".tar.gz", ".tgz", ".tar"];

/// `help --help` is `help`, and `help check --help` is `help check`.
#[must_use]
pub fn without_help_of_help(arguments: Vec<OsString>) -> Vec<OsString> {
    let asks_for_help = arguments.get(1).is_some_and(|first| first == "help");
    let is_kept = |argument: &OsString| !asks_for_help || (argument != "-h" && argument != "--help");
    arguments.into_iter().filter(is_kept).collect()
}

/// What to type instead of `word`, which this command doesn't take. `command` is the command that was named, `program`
/// what a person types for this program, and `is_plugin`: without a command it runs `check`.
#[must_use]
pub fn tip(word: &str, command: &str, program: &str, is_plugin: bool) -> Option<String> {
    let reads_files = matches!(command, "check" | "history");
    if command == "update" && is_release(word) {
        return Some(format!("to update, use '{program} update --to {}'", quote(word)));
    }
    let is_a_command = ["run", "cleanup", "crd", "completion", "update", "help"].contains(&command);
    if is_a_command {
        return None;
    }
    let check = if is_plugin { program.to_owned() } else { format!("{program} check") };
    let command = if command == "history" { format!("{program} history") } else { check };
    if FILE_OPTIONS.contains(&word) {
        return Some(format!("to read files, use '{command} --from PATH'"));
    }
    if matches!(word, "--to" | "--from" | "--all" | "--all-contexts" | "--context") && command.ends_with(" check") {
        return Some(format!("{word} is an option of '{command}'"));
    }
    if word.starts_with('-') {
        return None;
    }
    let shown = quote(word);
    if is_file(word) {
        return Some(format!("to read a file or folder, use '{command} --from {shown}'"));
    }
    let is_history = command.ends_with(" history");
    if is_release(word) && !is_history {
        return Some(format!("to check one update, use '{command} --to {shown}'"));
    }
    if is_history || !(reads_files || is_plugin) {
        return reads_files.then(|| format!("to read a file or folder, use '{command} --from {shown}'"));
    }
    Some(format!("to check one update, use '{command} --to VERSION'; to read files, '{command} --from PATH'"))
}

fn is_file(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let is_path = [".", "/", "~"].iter().any(|start| word.starts_with(start)) || lower.starts_with("must-gather");
    !word.contains('@') && (is_path || FILES.iter().any(|end| lower.ends_with(end)))
}

/// A version, or what begins like one; an image.
fn is_release(word: &str) -> bool {
    let digits = word.trim_start_matches(['v', 'V']);
    word.contains('@')
        || word.contains('/')
        || (digits.starts_with(|c: char| c.is_ascii_digit()) && digits.contains('.'))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::a_file("cluster.yaml", "check", "to read a file or folder, use 'upgrade-gate check --from cluster.yaml'")]
    #[case::a_folder("./dump", "check", "to read a file or folder, use 'upgrade-gate check --from ./dump'")]
    #[case::a_must_gather(
        "must-gather.local.1",
        "history",
        "to read a file or folder, use 'upgrade-gate history --from must-gather.local.1'"
    )]
    #[case::an_archive(
        "/tmp/my dump.tar.gz",
        "check",
        "to read a file or folder, use 'upgrade-gate check --from '/tmp/my dump.tar.gz''"
    )]
    #[case::an_option("-f", "check", "to read files, use 'upgrade-gate check --from PATH'")]
    #[case::another_option("--filename", "history", "to read files, use 'upgrade-gate history --from PATH'")]
    #[case::a_version("4.21.2", "check", "to check one update, use 'upgrade-gate check --to 4.21.2'")]
    #[case::a_version_without_a_command(
        "4.21.2",
        "4.21.2",
        "to check one update, use 'upgrade-gate check --to 4.21.2'"
    )]
    #[case::a_version_to_update_to("4.21.2", "update", "to update, use 'upgrade-gate update --to 4.21.2'")]
    #[case::an_option_of_check("--to", "--to", "--to is an option of 'upgrade-gate check'")]
    #[case::an_image("r/a@sha256:1", "check", "to check one update, use 'upgrade-gate check --to r/a@sha256:1'")]
    #[case::a_folder_by_its_name("dump", "history", "to read a file or folder, use 'upgrade-gate history --from dump'")]
    #[case::a_word(
        "prod",
        "check",
        "to check one update, use 'upgrade-gate check --to VERSION'; to read files, 'upgrade-gate check --from PATH'"
    )]
    fn what_to_type_instead(#[case] word: &str, #[case] command: &str, #[case] expected: &str) {
        assert_eq!(tip(word, command, "upgrade-gate", false).as_deref(), Some(expected));
    }

    #[rstest]
    #[case::a_version("4.21.2", "4.21.2", "to check one update, use 'oc upgrade-gate --to 4.21.2'")]
    #[case::a_file("a.json", "a.json", "to read a file or folder, use 'oc upgrade-gate --from a.json'")]
    #[case::a_word(
        "histroy",
        "histroy",
        "to check one update, use 'oc upgrade-gate --to VERSION'; to read files, 'oc upgrade-gate --from PATH'"
    )]
    #[case::an_option("-f", "check", "to read files, use 'oc upgrade-gate --from PATH'")]
    fn what_to_type_instead_after_the_name_of_the_plugin(
        #[case] word: &str,
        #[case] command: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(tip(word, command, "oc upgrade-gate", true).as_deref(), Some(expected));
    }

    #[rstest]
    #[case::another_command("prod", "cleanup")]
    #[case::an_unknown_option("--form", "check")]
    #[case::an_unknown_command("histroy", "histroy")]
    fn where_nothing_is_likely_nothing_is_said(#[case] word: &str, #[case] command: &str) {
        assert_eq!(tip(word, command, "upgrade-gate", false), None);
    }

    #[rstest]
    #[case("upgrade-gate help --help", "upgrade-gate help")]
    #[case("upgrade-gate help check -h", "upgrade-gate help check")]
    #[case("upgrade-gate check --help", "upgrade-gate check --help")]
    #[case("upgrade-gate --help", "upgrade-gate --help")]
    fn help_of_help_is_help(#[case] said: &str, #[case] meant: &str) {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(without_help_of_help(words(said)), words(meant));
    }
}
