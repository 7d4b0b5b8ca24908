//! The errors of `check`. Each message says where the problem is, what was found, what was expected and what to do. Texts from
//! the input are escaped, because they are shown on a terminal.

use std::{fmt, io, path::Path};

use crate::{client::ClusterError, escape::escape};

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

/// What was pasted, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Culprit {
    /// The line.
    pub place: Location,
    /// What it is, with its beginning.
    pub found: String,
    /// What to do about it.
    pub advice: &'static str,
}

/// Why there is no answer; exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path, or a file below it, could not be read.
    #[error("{path}: cannot be read: {source}; {}", advice_on_reading(source))]
    Unreadable {
        /// The path.
        path: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The bytes are not UTF-8.
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
        "{place}: found text that is not {format} ({problem}), expected a ClusterVersion; fix that line, or use another file"
    )]
    Syntax {
        /// Where parsing failed.
        place: Location,
        /// What it was read as.
        format: &'static str,
        /// The parser's error.
        problem: String,
    },
    /// Something else was copied along with an object, or instead of it.
    #[error("{}: found {}; expected YAML or JSON, {}", .0.place, .0.found, .0.advice)]
    Pasted(Culprit),
    /// The text is valid and contains something other than objects.
    #[error("{place}: found {found}, expected {expected}")]
    Shape {
        /// Where it is.
        place: Location,
        /// What was found there.
        found: String,
        /// What was expected, and what to do.
        expected: String,
    },
    /// An object that the check needs has a field of the wrong type.
    #[error("{place}: {object}: {problem}; compare it with `kubectl explain {explain}`")]
    Field {
        /// Where it is: a line, or a cluster.
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
    /// The input contains only other objects.
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
    /// The version of the cluster is not known.
    #[error("{place}: ClusterVersion: found {found}, expected the version that the cluster runs; {advice}")]
    NoCurrentVersion {
        /// Where the object is: a line, or a cluster.
        place: String,
        /// What is missing.
        found: &'static str,
        /// How to get it.
        advice: &'static str,
    },
    /// The input contains neither a ClusterVersion nor UpdateRecords.
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
    /// No cluster is configured, or its configuration is not usable.
    #[error("{}", or_files(.0))]
    Cluster(#[from] ClusterError),
    /// The cluster did not answer.
    #[error("{server} cannot be reached: {problem}; {advice}, or give files with --from")]
    Unreachable {
        /// The cluster's address.
        server: String,
        /// What happened.
        problem: String,
        /// What to do.
        advice: &'static str,
    },
    /// The cluster does not have the API or the object.
    #[error(
        "{server} has no ClusterVersion, so it is not an OpenShift cluster; name the context of one with --context, or give \
         files with --from"
    )]
    NotOpenShift {
        /// The cluster's address.
        server: String,
    },
    /// The cluster answered with an error.
    #[error("{}; {advice}", refusal(server, request, problem))]
    Refused {
        /// The cluster's address.
        server: String,
        /// Verb, resource and name.
        request: &'static str,
        /// The cluster's error.
        problem: String,
        /// What to do.
        advice: &'static str,
    },
    /// The answer could not be written to standard output.
    #[error("standard output cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// An API server's own sentence names the resource, mostly.
fn refusal(server: &str, request: &str, problem: &str) -> String {
    match request.split(' ').nth(1) {
        Some(resource) if problem.contains(resource) => format!("{server}: {problem}"),
        _ => format!("{server} refuses to {request}: {problem}"),
    }
}

fn or_files(error: &ClusterError) -> String {
    match error {
        ClusterError::None => "no cluster is configured; use --kubeconfig, KUBECONFIG or --from FILE".to_owned(),
        error => format!("{error}, or give files with --from"),
    }
}

/// What to do if a cluster does not answer.
pub const CHECK_NETWORK: &str = "check the network and the kubeconfig";

fn advice_on_reading(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "give --from a file or folder that exists",
        io::ErrorKind::PermissionDenied => "give yourself permission to read it",
        io::ErrorKind::FileTooLarge => "give --from the files that hold the cluster's state, not all of them",
        _ => "give --from a file or folder that can be read",
    }
}

/// A path as it is shown.
#[must_use]
pub fn show_path(path: &Path) -> String {
    escape(&path.display().to_string())
}
