//! Reads the input of `check` and `history` from files: paths in, the relevant objects out.
//!
//! ```text
//! files      paths to texts: walks folders, rejects what is not text
//! archive    archives to texts, within limits
//! prefilter  texts to slices: one for each object, most of which need no parser
//! node       slices to trees that know their lines, from YAML or JSON
//! collector  trees to objects: identified by what they are, each held once
//! pasted     names what was copied along with an object
//! ```

mod archive;
#[cfg(test)]
mod archive_tests;
mod collector;
pub mod evidence;
mod field_error;
mod fields;
mod files;
mod json;
mod node;
mod origin;
mod pasted;
mod prefilter;
#[cfg(test)]
mod prefilter_tests;

use std::path::PathBuf;

use crate::{
    api::{ClusterOperator, ClusterVersion, UpdateRecord},
    cli::error::{Error, Location},
    escape::escape,
    gate::{ConfigMapData, Source},
};
use collector::{InputKind, ObjectCollector};
use node::{Node, SyntaxError};
use origin::{Origin, STANDARD_INPUT};
use prefilter::{Head, Slice};

/// Up to this size, a file that is given by name is parsed completely, so that every error in it is reported. Larger
/// ones go through the prefilter.
const READ_WHOLE: usize = 256 << 10;

/// More relevant entries than any cluster has.
const MANY_ENTRIES: usize = 10_000;

/// The sources that the gate reads.
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
    /// The sources that were not given, by name.
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

/// The sources of `history`.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// The object `version`, for its history.
    pub cluster_version: Option<ClusterVersion>,
    /// All UpdateRecords.
    pub records: Vec<UpdateRecord>,
    /// True if they were read from files, which may lack objects that the cluster has.
    pub from_files: bool,
}

/// Reads the input of the gate from files and folders.
///
/// # Errors
/// A path can't be read, something given by name is no object, or the paths don't hold one ClusterVersion.
pub fn read(paths: &[PathBuf]) -> Result<Inputs, Error> {
    read_for(InputKind::Verdict, paths)?.finish(&names(paths))
}

/// Reads the input of `history` from files and folders.
///
/// # Errors
/// A path can't be read, something given by name is no object, or the paths hold neither ClusterVersion nor records.
pub fn read_past(paths: &[PathBuf]) -> Result<Past, Error> {
    read_for(InputKind::History, paths)?.finish_past(&names(paths))
}

fn read_for(kind: InputKind, paths: &[PathBuf]) -> Result<ObjectCollector, Error> {
    let mut collector = ObjectCollector::new(kind);
    for path in paths {
        for (path, origin) in files::expand(path)? {
            files::read(&path, &origin, &mut |bytes, origin| read_file(bytes, origin, &mut collector))?;
        }
    }
    Ok(collector)
}

fn names(paths: &[PathBuf]) -> String {
    let shown = |path: &PathBuf| {
        if path.as_os_str() == "-" { STANDARD_INPUT.to_owned() } else { crate::cli::error::show_path(path) }
    };
    paths.iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// Reads a file, which is cut off if a must-gather keeps an object in it and it holds none: that object might be what blocks.
fn read_file(bytes: &[u8], origin: &Origin, collector: &mut ObjectCollector) -> Result<(), Error> {
    let before = collector.taken();
    read_bytes(bytes, origin, collector)?;
    match origin.promised_kind().filter(|kind| collector.kind.search_terms().contains(kind)) {
        Some(kind) if !origin.by_name && collector.taken() == before => Err(Error::Shape {
            place: Location::new(&origin.name, 1),
            found: "no object".to_owned(),
            expected: format!("the {kind} that a must-gather keeps in this file; collect it again"),
        }),
        Some(_) | None => Ok(()),
    }
}

fn read_bytes(bytes: &[u8], origin: &Origin, collector: &mut ObjectCollector) -> Result<(), Error> {
    let terms = collector.kind.search_terms();
    if !origin.by_name && !may_be_relevant(bytes, terms) {
        return Ok(());
    }
    let text = match files::decode(bytes, origin) {
        // Binary data may contain the bytes of an escape by chance.
        Err(Error::NotText { .. }) if !origin.by_name && !contains_term(bytes, terms) => return Ok(()),
        text => text?,
    };
    let documents = prefilter::documents(text);
    if documents.is_empty() && origin.by_name {
        return Err(Error::Shape {
            place: Location::new(&origin.name, 1),
            found: "no object".to_owned(),
            expected: collector::AN_OBJECT.to_owned(),
        });
    }
    documents.into_iter().try_for_each(|document| {
        match read_document(document, origin, text.len(), collector) {
            // A file in a folder may be malformed, unless it holds a relevant object.
            Err(Error::Syntax { .. }) if !origin.by_name && !names_relevant_object(document.text, terms) => Ok(()),
            Err(error) => Err(blame(error, text, document.line)),
            Ok(()) => Ok(()),
        }
    })
}

/// The error of a document that starts on line `first`. If a prompt, a table or a log line was pasted into it, the
/// error is about that.
fn blame(error: Error, text: &str, first: usize) -> Error {
    let (Error::Syntax { place, .. } | Error::Shape { place, .. }) = &error else { return error };
    pasted::culprit(&place.file, text, first, place.line).map_or(error, Error::Pasted)
}

fn read_document(
    document: Slice<'_>,
    origin: &Origin,
    size: usize,
    collector: &mut ObjectCollector,
) -> Result<(), Error> {
    let body = document.text.strip_prefix("---").unwrap_or(document.text);
    if body.trim_start().starts_with('{') {
        match json::read(body, document.line, origin, collector) {
            // YAML in flow style begins like JSON, and so does malformed JSON.
            Err(error @ Error::Syntax { .. }) => {
                let key = body.trim_start().trim_start_matches('{').trim_start();
                return match read_whole(document, origin, collector) {
                    Err(Error::Syntax { .. }) if key.starts_with(['"', '}']) => Err(error),
                    result => result,
                };
            }
            result => return result,
        }
    }
    if origin.by_name && size <= READ_WHOLE {
        return read_whole(document, origin, collector);
    }
    match prefilter::outline(document) {
        None => read_whole(document, origin, collector),
        Some(outline) => read_outline(document, &outline, origin, collector),
    }
}

fn read_whole(document: Slice<'_>, origin: &Origin, collector: &mut ObjectCollector) -> Result<(), Error> {
    let node = Node::from_yaml(document.text, document.line).map_err(|error| syntax(&error, "YAML", origin))?;
    collector.take(&node, None, origin)
}

fn read_outline(
    document: Slice<'_>,
    outline: &prefilter::Outline<'_>,
    origin: &Origin,
    collector: &mut ObjectCollector,
) -> Result<(), Error> {
    let place = |slice: Slice<'_>| Location::new(&origin.name, slice.line);
    let list = outline.head.kind.filter(|kind| kind.ends_with("List"));
    let (Some(list), Some(items)) = (list, &outline.items) else {
        if collector.kind.is_relevant(&outline.head) {
            return read_whole(document, origin, collector);
        }
        collector.pass_over(outline.head.kind, || place(document));
        return Ok(());
    };
    let Some(api_version) = outline.head.api_version else { return read_whole(document, origin, collector) };
    let inherited = collector.enter_list(api_version, list);
    let (mut passed_over, mut left) = (None, Vec::new());
    for (slice, head) in items {
        let head = head.map(|head| Head { kind: head.kind.or(inherited.map(|(_, kind)| kind)), ..head });
        match head {
            Some(head) if !collector.kind.is_relevant(&head) => drop(passed_over.get_or_insert((*slice, head.kind))),
            _ => left.push(*slice),
        }
    }
    if let Some((slice, kind)) = passed_over {
        collector.pass_over(kind, || place(slice));
    }
    // One parser for all is faster than one for each, and has a limit.
    if left.len() > MANY_ENTRIES {
        return read_whole(document, origin, collector);
    }
    for slice in left {
        // An entry may refer to an anchor outside of it; then the whole document is parsed.
        let Ok(entry) = Node::from_yaml(slice.text, slice.line) else { return read_whole(document, origin, collector) };
        let node::Content::List(nodes) = &entry.content else { return read_whole(document, origin, collector) };
        nodes.iter().try_for_each(|node| collector.take(node, inherited, origin))?;
    }
    Ok(())
}

fn syntax(error: &SyntaxError, format: &'static str, origin: &Origin) -> Error {
    Error::Syntax { place: Location::new(&origin.name, error.line), format, problem: escape(&error.problem) }
}

/// True if the bytes contain a search term, or an escape that could encode one.
fn may_be_relevant(bytes: &[u8], terms: &[&str]) -> bool {
    let escapes: [&[u8]; 4] = [b"\\u00", b"\\x", b"\\U", b"\\\n"];
    contains_term(bytes, terms) || escapes.into_iter().any(|escape| memchr::memmem::find(bytes, escape).is_some())
}

/// True if the bytes contain a search term as ASCII, or as UTF-16.
fn contains_term(bytes: &[u8], terms: &[&str]) -> bool {
    let spells = |bytes: &[u8]| terms.iter().any(|term| memchr::memmem::find(bytes, term.as_bytes()).is_some());
    spells(bytes)
        || memchr::memchr(0, bytes).is_some()
            && spells(&bytes.iter().copied().filter(|byte| *byte != 0).collect::<Vec<_>>())
}

/// True if a malformed text seems to hold a relevant object: by its kind, or a ConfigMap by its name.
fn names_relevant_object(text: &str, terms: &[&str]) -> bool {
    let quotes = ['"', '\'', ' ', '\t'];
    terms.iter().any(|term| {
        let key = if term.starts_with(char::is_uppercase) { "kind" } else { "name" };
        text.match_indices(term).any(|(at, _)| {
            let before = text[..at].trim_end_matches(quotes).strip_suffix(':');
            let after = &text[at + term.len()..];
            let after = after.strip_prefix("List").unwrap_or(after);
            before.is_some_and(|before| before.trim_end_matches(quotes).ends_with(key))
                && !after.starts_with(|next: char| next.is_alphanumeric() || next == '-')
        })
    })
}
