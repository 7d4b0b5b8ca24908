//! Where the bytes of an input come from, and which files of a folder are read.

use std::path::Path;

/// The extensions that are read in a folder. A must-gather also holds logs, archives and web pages.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// The name of standard input.
pub const STANDARD_INPUT: &str = "standard input";

/// Where bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The path, as it is shown.
    pub name: String,
    /// True if the file was given by name, so it has to hold objects; false if it was found in a folder.
    pub by_name: bool,
}

impl Origin {
    /// The kind of the object that a must-gather keeps in this file, by the folder that the file is in.
    pub fn promised_kind(&self) -> Option<&'static str> {
        let mut folders = self.name.rsplit(['/', '\\']).skip(1);
        let (resource, group) = (folders.next()?, folders.next()?);
        match (group, resource) {
            ("config.openshift.io", "clusterversions") => Some("ClusterVersion"),
            ("config.openshift.io", "clusteroperators") => Some("ClusterOperator"),
            _ => None,
        }
    }
}

/// Whether a file has the name of a text that is read.
pub fn is_read(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known)))
}
