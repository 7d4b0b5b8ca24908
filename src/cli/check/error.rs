//! What can keep `check` from an answer. Each message says where, what was found, what was expected and what to do;
//! texts from the input are escaped, since they end up on a terminal.

use std::{fmt, io, path::Path};

use crate::{cli::input::Culprit, client::ClusterError, escape::escape};

/// A line of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file, as the user named it or as it was found in a folder.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
}

impl Location {
    /// A line of a file.
    #[must_use]
    pub fn new(file: &str, line: usize) -> Self {
        Self { file: file.to_owned(), line }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file, self.line)
    }
}

/// Why there is no answer; exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path, or something below it, couldn't be read.
    #[error("{path}: can't be read: {source}; {}", advice_on_reading(source))]
    Unreadable {
        /// The path.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The bytes aren't text in UTF-8.
    #[error("{place}: found {found}, expected YAML or JSON as UTF-8 text; {advice}")]
    NotText {
        /// The line up to which it was text.
        place: Location,
        /// What it seems to be.
        found: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// An archive, or a file in it, that can't be read as a whole.
    #[error("{path}: found {found}, expected a must-gather as .tar.gz or .tar, or a file in it; {advice}")]
    Archive {
        /// The archive; behind it, a file in it.
        path: String,
        /// What is wrong with it.
        found: String,
        /// What to do.
        advice: &'static str,
    },
    /// A folder or an archive without any file of the kinds that are read.
    #[error(
        "{path}: found no .yaml, .yml or .json file, expected the ClusterVersion in one; name a must-gather, \
         as a folder or as .tar.gz, or the file itself"
    )]
    EmptyFolder {
        /// The folder, or the archive.
        path: String,
    },
    /// The text is neither YAML nor JSON.
    #[error(
        "{place}: found text that isn't {format} ({problem}), expected a ClusterVersion; fix that line, or use another file"
    )]
    Syntax {
        /// Where it stops making sense.
        place: Location,
        /// What it was read as.
        format: &'static str,
        /// What the parser has against it.
        problem: String,
    },
    /// Something else was copied along with an object, or instead of it.
    #[error("{}: found {}; expected YAML or JSON, {}", .0.place, .0.found, .0.advice)]
    Pasted(Culprit),
    /// The text is fine and holds something else than objects.
    #[error("{place}: found {found}, expected {expected}")]
    Shape {
        /// Where it stands.
        place: Location,
        /// What stands there.
        found: String,
        /// What should, and what to do about it.
        expected: String,
    },
    /// An object that the check needs has a field of the wrong type.
    #[error("{place}: {object}: {problem}; compare it with `kubectl explain {explain}`")]
    Field {
        /// Where it stands: a line, or a cluster.
        place: String,
        /// Which object it is in.
        object: String,
        /// The field, what was found and what was expected.
        problem: String,
        /// The resource to look up.
        explain: &'static str,
    },
    /// One object is there twice, and not the same.
    #[error(
        "{second}: found another {object}, which differs from the one at {first}; expected the files of one cluster at one time"
    )]
    Two {
        /// Which object.
        object: String,
        /// Where it was found first.
        first: Location,
        /// Where it was found again.
        second: Location,
    },
    /// The input holds other things only.
    #[error(
        "{place}: found {found}, expected a ClusterVersion (config.openshift.io/v1); get it with \
         `oc get clusterversion version -o yaml`"
    )]
    NoClusterVersion {
        /// The input, with a line where there is one to name.
        place: String,
        /// What it holds.
        found: String,
    },
    /// Nothing says which version the cluster runs.
    #[error("{place}: ClusterVersion: found {found}, expected the version that the cluster runs; {advice}")]
    NoCurrentVersion {
        /// Where the object is: a line, or a cluster.
        place: String,
        /// What is missing.
        found: &'static str,
        /// How to get it.
        advice: &'static str,
    },
    /// The input holds nothing that tells of the past.
    #[error(
        "{place}: found {found}, expected a ClusterVersion or UpdateRecords; get them with \
         `oc get clusterversion,updaterecords -o yaml`"
    )]
    NoHistory {
        /// The input, with a line where there is one to name.
        place: String,
        /// What it holds.
        found: String,
    },
    /// No way to a cluster is configured, or not a usable one.
    #[error("{}", or_files(.0))]
    Cluster(#[from] ClusterError),
    /// The cluster didn't answer.
    #[error("{server} can't be reached: {problem}; check the network and the kubeconfig, or give files with --from")]
    Unreachable {
        /// The cluster's address.
        server: String,
        /// What happened.
        problem: String,
    },
    /// The cluster answered with an error.
    #[error("{server} refuses to {request}: {problem}; {advice}")]
    Refused {
        /// The cluster's address.
        server: String,
        /// Verb, resource and name.
        request: &'static str,
        /// The cluster's words.
        problem: String,
        /// What to do.
        advice: &'static str,
    },
    /// The answer couldn't be written to standard output.
    #[error("standard output can't be written: {0}")]
    Output(#[from] io::Error),
}

fn or_files(error: &ClusterError) -> String {
    match error {
        ClusterError::None => "no cluster is configured; use --kubeconfig, KUBECONFIG or --from FILE".to_owned(),
        error => format!("{error}, or give files with --from"),
    }
}

fn advice_on_reading(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "give --from a file or folder that exists",
        io::ErrorKind::PermissionDenied => "give yourself permission to read it",
        io::ErrorKind::FileTooLarge => "give --from the files that hold the cluster's state, not all of them",
        _ => "give --from a file or folder that can be read",
    }
}

/// A path as it is shown.
pub fn show_path(path: &Path) -> String {
    escape(&path.display().to_string())
}
