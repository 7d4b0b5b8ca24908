//! What `check` judges when it is given files: paths in, the objects that matter out.
//!
//! ```text
//! files   paths to texts: folders are walked, what isn't text is refused
//! archive archives to texts, within limits
//! skim    texts to slices: one for each object, most of which need no parser
//! node    slices to trees that know their lines, from YAML or JSON
//! found   trees to objects: identified by what they are, each held once
//! pasted  what was copied along with them
//! ```

mod archive;
#[cfg(test)]
mod archive_tests;
mod fields;
mod files;
mod found;
mod json;
mod node;
mod pasted;
mod skim;
#[cfg(test)]
mod skim_tests;

use std::path::PathBuf;

use crate::{
    api::{ClusterOperator, ClusterVersion, UpdateRecord},
    cli::check::error::{Error, Location},
    escape::escape,
    gate::{ConfigMapData, Source},
};
use files::Origin;
use found::{CollectedObjects, InputKind};
use node::{Node, SyntaxError};
pub use pasted::Culprit;
use skim::{Head, Slice};

/// A file that a person wrote is read to its end, so that every mistake in it is told; a larger one is skimmed.
const READ_WHOLE: usize = 256 << 10;

/// More entries than any cluster has that matter.
const MANY_ENTRIES: usize = 10_000;

/// What the gate looks at.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// The object `version`.
    pub cluster_version: ClusterVersion,
    /// All ClusterOperators.
    pub cluster_operators: Source<Vec<ClusterOperator>>,
    /// ConfigMap `openshift-config-managed/admin-gates`.
    pub admin_gates: Source<ConfigMapData>,
    /// ConfigMap `openshift-config/admin-acks`.
    pub admin_acks: Source<ConfigMapData>,
}

impl Inputs {
    /// The sources that weren't given, by name.
    #[must_use]
    pub fn not_evaluated(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        if self.cluster_operators == Source::NotGiven {
            names.push("ClusterOperators");
        }
        if (&self.admin_gates, &self.admin_acks) == (&Source::NotGiven, &Source::NotGiven) {
            names.push("AdminAcks");
        }
        names
    }
}

/// What tells of updates that were let through.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// The object `version`, for its history.
    pub cluster_version: Option<ClusterVersion>,
    /// All UpdateRecords.
    pub records: Vec<UpdateRecord>,
    /// They were read from files, which may lack what the cluster has.
    pub from_files: bool,
}

/// Reads what the gate looks at from files and folders.
///
/// # Errors
/// A path can't be read, something given by name is no object, or the paths don't hold one ClusterVersion.
pub fn read(paths: &[PathBuf]) -> Result<Inputs, Error> {
    read_for(InputKind::Verdict, paths)?.finish(&names(paths))
}

/// Reads what tells of the past from files and folders.
///
/// # Errors
/// A path can't be read, something given by name is no object, or the paths hold neither ClusterVersion nor records.
pub fn read_past(paths: &[PathBuf]) -> Result<Past, Error> {
    read_for(InputKind::History, paths)?.finish_past(&names(paths))
}

fn read_for(purpose: InputKind, paths: &[PathBuf]) -> Result<CollectedObjects, Error> {
    let mut found = CollectedObjects::new(purpose);
    for path in paths {
        for (path, origin) in files::expand(path)? {
            files::read(&path, &origin, &mut |bytes, origin| read_bytes(bytes, origin, &mut found))?;
        }
    }
    Ok(found)
}

fn names(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| crate::cli::check::error::show_path(path)).collect::<Vec<_>>().join(", ")
}

fn read_bytes(bytes: &[u8], origin: &Origin, found: &mut CollectedObjects) -> Result<(), Error> {
    let needles = found.purpose.needles();
    if !origin.by_name && !may_hold_what_matters(bytes, needles) {
        return Ok(());
    }
    let text = match files::decode(bytes, origin) {
        // By chance, any bytes may hold what would be an escape in a text.
        Err(Error::NotText { .. }) if !origin.by_name && !spells_what_matters(bytes, needles) => return Ok(()),
        text => text?,
    };
    let documents = skim::documents(text);
    if documents.is_empty() && origin.by_name {
        return Err(Error::Shape {
            place: Location::new(&origin.name, 1),
            found: "no object".to_owned(),
            expected: found::AN_OBJECT.to_owned(),
        });
    }
    documents.into_iter().try_for_each(|document| {
        match read_document(document, origin, text.len(), found) {
            // Whatever lies about in a folder may be broken, unless it is one of those that matter.
            Err(Error::Syntax { .. }) if !origin.by_name && !names_what_matters(document.text, needles) => Ok(()),
            Err(error) => Err(blame(error, text, document.line)),
            Ok(()) => Ok(()),
        }
    })
}

/// The error of a document that starts on line `first`; where something was pasted into it, that is the error.
fn blame(error: Error, text: &str, first: usize) -> Error {
    let (Error::Syntax { place, .. } | Error::Shape { place, .. }) = &error else { return error };
    pasted::culprit(&place.file, text, first, place.line).map_or(error, Error::Pasted)
}

fn read_document(document: Slice<'_>, origin: &Origin, size: usize, found: &mut CollectedObjects) -> Result<(), Error> {
    let body = document.text.strip_prefix("---").unwrap_or(document.text);
    if body.trim_start().starts_with('{') {
        match json::read(body, document.line, origin, found) {
            // Flow style begins like JSON, and so does JSON that is broken.
            Err(error @ Error::Syntax { .. }) => {
                let key = body.trim_start().trim_start_matches('{').trim_start();
                return match read_whole(document, origin, found) {
                    Err(Error::Syntax { .. }) if key.starts_with(['"', '}']) => Err(error),
                    result => result,
                };
            }
            result => return result,
        }
    }
    if origin.by_name && size <= READ_WHOLE {
        return read_whole(document, origin, found);
    }
    match skim::outline(document) {
        None => read_whole(document, origin, found),
        Some(outline) => read_outline(document, &outline, origin, found),
    }
}

fn read_whole(document: Slice<'_>, origin: &Origin, found: &mut CollectedObjects) -> Result<(), Error> {
    let node = Node::from_yaml(document.text, document.line).map_err(|error| syntax(&error, "YAML", origin))?;
    found.take(&node, None, origin)
}

fn read_outline(
    document: Slice<'_>,
    outline: &skim::Outline<'_>,
    origin: &Origin,
    found: &mut CollectedObjects,
) -> Result<(), Error> {
    let place = |slice: Slice<'_>| Location::new(&origin.name, slice.line);
    let list = outline.head.kind.filter(|kind| kind.ends_with("List"));
    let (Some(list), Some(items)) = (list, &outline.items) else {
        if found.purpose.is_relevant(&outline.head) {
            return read_whole(document, origin, found);
        }
        found.pass_over(outline.head.kind, || place(document));
        return Ok(());
    };
    let Some(api_version) = outline.head.api_version else { return read_whole(document, origin, found) };
    let inherited = found.enter_list(api_version, list);
    let (mut passed_over, mut left) = (None, Vec::new());
    for (slice, head) in items {
        let head = head.map(|head| Head { kind: head.kind.or(inherited.map(|(_, kind)| kind)), ..head });
        match head {
            Some(head) if !found.purpose.is_relevant(&head) => drop(passed_over.get_or_insert((*slice, head.kind))),
            _ => left.push(*slice),
        }
    }
    if let Some((slice, kind)) = passed_over {
        found.pass_over(kind, || place(slice));
    }
    // One parser for all is faster than one for each, and has a limit.
    if left.len() > MANY_ENTRIES {
        return read_whole(document, origin, found);
    }
    for slice in left {
        // An entry may lean on an anchor outside of it; the document as a whole decides then.
        let Ok(entry) = Node::from_yaml(slice.text, slice.line) else { return read_whole(document, origin, found) };
        let node::Content::List(nodes) = &entry.content else { return read_whole(document, origin, found) };
        nodes.iter().try_for_each(|node| found.take(node, inherited, origin))?;
    }
    Ok(())
}

fn syntax(error: &SyntaxError, format: &'static str, origin: &Origin) -> Error {
    Error::Syntax { place: Location::new(&origin.name, error.line), format, problem: escape(&error.problem) }
}

/// Whether bytes come anywhere near what matters: in letters, or in escapes that could spell it.
fn may_hold_what_matters(bytes: &[u8], needles: &[&str]) -> bool {
    let escapes: [&[u8]; 4] = [b"\\u00", b"\\x", b"\\U", b"\\\n"];
    spells_what_matters(bytes, needles)
        || escapes.into_iter().any(|escape| memchr::memmem::find(bytes, escape).is_some())
}

/// Whether bytes spell it in plain letters, or in those of UTF-16.
fn spells_what_matters(bytes: &[u8], needles: &[&str]) -> bool {
    let spells = |bytes: &[u8]| needles.iter().any(|needle| memchr::memmem::find(bytes, needle.as_bytes()).is_some());
    spells(bytes)
        || memchr::memchr(0, bytes).is_some()
            && spells(&bytes.iter().copied().filter(|byte| *byte != 0).collect::<Vec<_>>())
}

/// Whether a text that can't be read seems to hold an object that matters: by its kind, or a ConfigMap by its name.
fn names_what_matters(text: &str, needles: &[&str]) -> bool {
    let quotes = ['"', '\'', ' ', '\t'];
    needles.iter().any(|needle| {
        let key = if needle.starts_with(char::is_uppercase) { "kind" } else { "name" };
        text.match_indices(needle).any(|(at, _)| {
            let before = text[..at].trim_end_matches(quotes).strip_suffix(':');
            let after = &text[at + needle.len()..];
            let after = after.strip_prefix("List").unwrap_or(after);
            before.is_some_and(|before| before.trim_end_matches(quotes).ends_with(key))
                && !after.starts_with(|next: char| next.is_alphanumeric() || next == '-')
        })
    })
}
