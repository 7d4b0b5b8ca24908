//! Recognises what is often copied along with an object: a shell prompt, the command itself, a table, a log line. The
//! error names it and its line; a parser would report the line after it.

use crate::{
    cli::error::{Culprit, Location},
    escape::escape,
};

/// Characters of the line that the message repeats.
const EXCERPT: usize = 60;
/// Commands that print objects, or that are typed in front of such a command.
const COMMANDS: [&str; 27] = [
    "oc",
    "kubectl",
    "upgrade-gate",
    "oc-upgrade_gate",
    "kubectl-upgrade_gate",
    "omc",
    "omg",
    "openshift-install",
    "sudo",
    "watch",
    "time",
    "cat",
    "tac",
    "less",
    "more",
    "head",
    "tail",
    "grep",
    "jq",
    "yq",
    "curl",
    "wget",
    "ssh",
    "podman",
    "export",
    "echo",
    "cd",
];
/// How messages of tools begin, in lower case: they are printed to standard error, and get into a file with `2>&1`.
const LOGS: [&str; 25] = [
    "warning:",
    "error:",
    "error from server",
    "unable to connect",
    "info:",
    "debug:",
    "fatal:",
    "flag --",
    "no resources found",
    "using project",
    "now using project",
    "already on project",
    "login successful",
    "logged into",
    "defaulted container",
    "script started",
    "bash:",
    "-bash:",
    "sh:",
    "zsh:",
    "time=",
    "level=",
    "ts=",
    "the server",
    "you must be logged in",
];
/// Names of log levels.
const LEVELS: [&str; 7] = ["TRACE", "DEBUG", "INFO", "WARN", "WARNING", "ERROR", "FATAL"];

/// What a line is instead of YAML or JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pasted {
    /// A shell's prompt, usually with the command behind it.
    Prompt,
    /// A command without a prompt.
    Command,
    /// The heading of a table.
    Table,
    /// A message of a tool, rather than its output.
    Log,
    /// The first or last line of a block of code in Markdown.
    Fence,
}

/// Finds the line that was pasted: the first one of a document that starts on line `first`, the one that the parser
/// reports, or the one before that.
pub fn culprit(file: &str, text: &str, first: usize, reported: usize) -> Option<Culprit> {
    let has_content =
        |line: &&str| !matches!(line.trim_start().as_bytes(), [] | [b'#', ..]) && !line.starts_with("---");
    let first = text.lines().enumerate().skip(first.saturating_sub(1)).find(|(_, line)| has_content(line));
    let first = first.map_or(1, |(at, _)| at + 1);
    [first, reported, reported.saturating_sub(1)].into_iter().filter(|number| *number > 0).find_map(|number| {
        let line = text.lines().nth(number - 1)?.trim();
        let (what, advice) = match classify(line)? {
            Pasted::Prompt => ("a pasted prompt", "delete that line"),
            Pasted::Command => ("a pasted command", "delete that line"),
            Pasted::Table => ("a pasted table", "print the object with `oc get clusterversion version -o yaml`"),
            Pasted::Log => ("a pasted log line or warning", "delete that line"),
            Pasted::Fence => ("a pasted line of Markdown", "delete that line"),
        };
        let excerpt: String = line.chars().take(EXCERPT).collect();
        let rest = if excerpt.len() < line.len() { "…" } else { "" };
        Some(Culprit {
            place: Location::new(file, number),
            found: format!("{what}, {}{rest}", escape(&excerpt)),
            advice,
        })
    })
}

fn classify(line: &str) -> Option<Pasted> {
    if line.starts_with("```") || line.starts_with("~~~") {
        return Some(Pasted::Fence);
    }
    if is_prompt(line) {
        return Some(Pasted::Prompt);
    }
    if is_command(line.trim_start_matches("+ ")) {
        return Some(Pasted::Command);
    }
    if is_log(line) {
        return Some(Pasted::Log);
    }
    is_heading(line).then_some(Pasted::Table)
}

/// `$ oc …`, `[root@host ~]# …`, `user@host:~$ …`, `sh-5.1# …`, `PS C:\> …`.
fn is_prompt(line: &str) -> bool {
    // A Python environment's name.
    let line = match line.strip_prefix('(').and_then(|rest| rest.split_once(") ")) {
        Some((_, rest)) => rest,
        None => line,
    };
    let is_windows = line.starts_with("PS ") || line.as_bytes().get(1..3) == Some(br":\");
    line.char_indices().filter(|(_, mark)| matches!(mark, '$' | '#' | '%' | '>' | '❯' | '➜')).any(|(at, mark)| {
        let (before, after) = (line[..at].trim_end(), &line[at + mark.len_utf8()..]);
        if !(after.is_empty() || after.starts_with(' ') || (is_windows && mark == '>')) {
            return false;
        }
        let is_shell = ["sh-", "bash-", "zsh-"].iter().any(|shell| before.starts_with(shell));
        let is_host = before.starts_with('[') && before.ends_with(']')
            || before.contains('@') && !before.contains([' ', '"', '\'']) && !before.contains(": ");
        match before {
            "" => mark == '❯' || mark == '➜' || (mark == '$' && !after.trim().is_empty()) || is_command(after.trim()),
            _ => is_shell || is_host || is_windows || (!before.contains(": ") && is_command(after.trim())),
        }
    })
}

fn is_command(line: &str) -> bool {
    let is_assignment = |word: &&str| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        })
    };
    let Some(word) = line.split_whitespace().find(|word| !is_assignment(word)) else { return false };
    let name = word.rsplit(['/', '\\']).next().unwrap_or(word);
    COMMANDS.contains(&name.strip_suffix(".exe").unwrap_or(name))
}

/// `NAME   VERSION   AVAILABLE`: at least two words, all in capitals.
fn is_heading(line: &str) -> bool {
    let is_capital = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_uppercase())
            && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"()/_-%".contains(&byte))
    };
    line.split_whitespace().count() > 1 && line.split_whitespace().all(is_capital)
}

fn is_log(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    let level = line.split_whitespace().next().unwrap_or_default().trim_matches(['[', ']', ':']);
    let unbracketed = line.trim_start_matches('[');
    // `W0110 10:00:00.000000`, `2026-01-10T10:00:00Z`, `2026/01/10 10:00:00`
    let is_like = |text: &str, pattern: &str| {
        let mut bytes = text.bytes();
        pattern.bytes().all(|wanted| match (wanted, bytes.next()) {
            (b'0', Some(byte)) => byte.is_ascii_digit(),
            (b'W', Some(byte)) => b"IWEF".contains(&byte),
            (b'T', Some(byte)) => matches!(byte, b'T' | b' '),
            (wanted, byte) => byte == Some(wanted),
        })
    };
    let is_klog = is_like(line, "W0000 ");
    let is_dated = ["0000-00-00T", "0000/00/00T"].iter().any(|pattern| is_like(unbracketed, pattern));
    LOGS.iter().any(|start| lower.starts_with(start)) || LEVELS.contains(&level) || is_klog || is_dated
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::dollar("$ oc get clusterversion version -o yaml", Some(Pasted::Prompt))]
    #[case::dollar_and_anything("$ make dump", Some(Pasted::Prompt))]
    #[case::root("[root@host ~]# oc get clusterversion version -o yaml", Some(Pasted::Prompt))]
    #[case::user("[core@master-0 ~]$", Some(Pasted::Prompt))]
    #[case::debian("me@host:~/dump$ ./get-it", Some(Pasted::Prompt))]
    #[case::root_of_debian("root@host:/# oc get co", Some(Pasted::Prompt))]
    #[case::debug_pod("sh-5.1# oc get co", Some(Pasted::Prompt))]
    #[case::environment("(venv) me@host:~$ oc get co", Some(Pasted::Prompt))]
    #[case::zsh("% oc get co", Some(Pasted::Prompt))]
    #[case::mac("me@laptop ~ % oc get co", Some(Pasted::Prompt))]
    #[case::arrow("➜  ~ oc get co", Some(Pasted::Prompt))]
    #[case::power_shell("PS C:\\Users\\me> oc get co", Some(Pasted::Prompt))]
    #[case::cmd("C:\\Users\\me>oc get co", Some(Pasted::Prompt))]
    #[case::command("oc get clusterversion version -o yaml", Some(Pasted::Command))]
    #[case::path("/usr/local/bin/kubectl get co", Some(Pasted::Command))]
    #[case::windows("oc.exe get co", Some(Pasted::Command))]
    #[case::variable("KUBECONFIG=/tmp/k oc get co", Some(Pasted::Command))]
    #[case::traced("+ oc get co", Some(Pasted::Command))]
    #[case::table("NAME      VERSION   AVAILABLE   PROGRESSING   SINCE   STATUS", Some(Pasted::Table))]
    #[case::another_table("NAME   UP-TO-DATE   AGE", Some(Pasted::Table))]
    #[case::klog("W0110 10:00:00.000000   12345 warnings.go:70] old", Some(Pasted::Log))]
    #[case::warning("Warning: v1 ComponentStatus is deprecated in v1.19+", Some(Pasted::Log))]
    #[case::error("error: You must be logged in to the server (Unauthorized)", Some(Pasted::Log))]
    #[case::server("Error from server (NotFound): not found", Some(Pasted::Log))]
    #[case::level("[INFO] collecting", Some(Pasted::Log))]
    #[case::time("2026-01-10T10:00:00Z collecting", Some(Pasted::Log))]
    #[case::logfmt("time=\"2026-01-10T10:00:00Z\" level=info", Some(Pasted::Log))]
    #[case::fence("```yaml", Some(Pasted::Fence))]
    #[case::end_of_a_block("```", Some(Pasted::Fence))]
    #[case::another_fence("~~~", Some(Pasted::Fence))]
    #[case::key("apiVersion: v1", None)]
    #[case::command_as_key("oc: 4.21", None)]
    #[case::dollar_in_a_value("message: pay $ 5", None)]
    #[case::folded("message: >", None)]
    #[case::address("mail: me@example.com # the owner", None)]
    #[case::item("- name: a # oc get co", None)]
    #[case::capitals("ERRORS", None)]
    #[case::words("just text", None)]
    #[case::nothing("", None)]
    fn a_line_is_known_for_what_it_is(#[case] line: &str, #[case] expected: Option<Pasted>) {
        assert_eq!(classify(line), expected);
    }
}
