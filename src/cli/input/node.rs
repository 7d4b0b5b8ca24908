//! YAML and JSON as a tree that knows its lines, so that an error names the line of the field. A library would lose the
//! line or accept other types (docs/adr/0012-reading-inputs.md).
//!
//! Only what may be relevant is parsed (see [`super::prefilter`]); the same types as in the operator are then read from
//! the tree, so that a dump and the live cluster can't be read differently.

use std::{collections::HashSet, fmt, marker::PhantomData};

use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, SeqAccess, Unexpected, Visitor},
};
use serde_json::Value;

use crate::cli::input::field_error::{FieldError, describe};

/// Nodes of one document: a hundred times what a real object holds, and still a bounded amount of memory.
const MAX_NODES: usize = 1_000_000;
/// Bytes of texts in one document, beyond a few times its own: by aliases, a small one could repeat them without end.
const ALIASED: usize = 16 << 20;
/// Levels of one document; also the bound on our own recursion, and what `serde_json` allows.
const MAX_DEPTH: usize = 127;

/// A value and the line on which it starts.
#[derive(Clone, Debug)]
pub struct Node {
    /// Counted from 1.
    pub line: usize,
    /// The value.
    pub content: Content,
}

/// What a [`Node`] holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// Null, a boolean, a number or a string.
    Scalar(Value),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the text.
    Mapping(Vec<(String, Node)>),
}

/// Why a text isn't YAML or JSON.
#[derive(Debug)]
pub struct SyntaxError {
    /// The line that cannot be parsed.
    pub line: usize,
    /// What is wrong there.
    pub problem: String,
}

impl Node {
    /// Reads one YAML document whose first line is line `first` of its file.
    pub fn from_yaml(text: &str, first: usize) -> Result<Self, SyntaxError> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_depth: MAX_DEPTH,
                max_events: 3 * MAX_NODES,
                max_nodes: MAX_NODES,
                max_total_scalar_bytes: 4 * text.len() + ALIASED,
            },
            alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
            non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::AsString,
            emit_comments: false,
            with_snippet: false,
        };
        let mut node: Self = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let line = error.location().and_then(|location| usize::try_from(location.line()).ok()).unwrap_or(1).max(1);
            let problem = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
            let problem = problem.split(" at line ").next().unwrap_or_default().to_owned();
            SyntaxError { line: first + line - 1, problem }
        })?;
        node.move_down(first - 1);
        Ok(node)
    }

    /// Reads one JSON object that starts on line `first`. The JSON reader does not return lines; only errors need
    /// them: see [`Node::with_lines_of`].
    pub fn from_json(text: &str, first: usize) -> Result<Self, SyntaxError> {
        if values(text) > MAX_NODES {
            return Err(SyntaxError { line: first, problem: format!("more than {MAX_NODES} values in one object") });
        }
        let content: JsonContent = serde_json::from_str(text).map_err(|error| SyntaxError::json(&error, first))?;
        let mut node = Self { line: 0, content: content.0 };
        node.move_down(first);
        Ok(node)
    }

    /// The same JSON with the line of every value, by parsing it as YAML, which almost all JSON is.
    pub fn with_lines_of(self, text: &str, first: usize) -> Self {
        Self::from_yaml(text, first).unwrap_or(self)
    }

    fn move_down(&mut self, lines: usize) {
        self.line += lines;
        match &mut self.content {
            Content::Scalar(_) => {}
            Content::List(nodes) => nodes.iter_mut().for_each(|node| node.move_down(lines)),
            Content::Mapping(fields) => fields.iter_mut().for_each(|(_, node)| node.move_down(lines)),
        }
    }

    /// The value of a key, where this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Content::Mapping(fields) = &self.content else { return None };
        fields.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// The text of a string.
    pub fn text(&self) -> Option<&str> {
        let Content::Scalar(value) = &self.content else { return None };
        value.as_str()
    }

    /// What this is, in a sentence that begins with "found".
    pub fn describe(&self) -> String {
        match &self.content {
            Content::Scalar(Value::String(text)) => describe(Unexpected::Str(text)),
            Content::Scalar(Value::Bool(value)) => describe(Unexpected::Bool(*value)),
            Content::Scalar(Value::Number(number)) => format!("the number {number}"),
            Content::Scalar(_) => "nothing".to_owned(),
            Content::List(_) => "a list".to_owned(),
            Content::Mapping(_) => "a mapping".to_owned(),
        }
    }

    /// Reads a type from the tree.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, FieldError> {
        T::deserialize(self).map_err(|error| error.at(self.line))
    }
}

impl SyntaxError {
    /// The position in an error of JSON's reader, for a text that starts on line `first`.
    pub fn json(error: &serde_json::Error, first: usize) -> Self {
        let problem = error.to_string();
        let suffix = format!(" at line {} column {}", error.line(), error.column());
        let problem = problem.strip_suffix(&suffix).unwrap_or(&problem).to_owned();
        Self { line: first + error.line().max(1) - 1, problem }
    }
}

/// An upper bound of the number of values in a JSON text: each follows the start of a list or mapping, or a comma. The
/// JSON reader has no limit of its own. If texts contain many commas, the YAML reader counts exactly.
fn values(text: &str) -> usize {
    1 + text.bytes().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count()
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_saphyr::Spanned::<Content>::deserialize(deserializer)?;
        let line = usize::try_from(spanned.referenced.line()).unwrap_or(1).max(1);
        Ok(Self { line, content: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor::<Node>(PhantomData))
    }
}

/// A value of JSON, whose nodes are all on line 0. Its reader takes the last one of equal keys; here they are an error, as in
/// YAML, because an earlier one might be what blocks.
struct JsonContent(Content);

impl From<JsonContent> for Node {
    fn from(json: JsonContent) -> Self {
        Self { line: 0, content: json.0 }
    }
}

impl<'de> Deserialize<'de> for JsonContent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor::<Self>(PhantomData)).map(Self)
    }
}

/// Reads lists and mappings of values `V`.
struct ContentVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de> + Into<Node>> Visitor<'de> for ContentVisitor<V> {
    type Value = Content;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = access.next_element::<V>()? {
            nodes.push(node.into());
        }
        Ok(Content::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let (mut fields, mut keys) = (Vec::new(), HashSet::new());
        while let Some((key, node)) = access.next_entry::<String, V>()? {
            if !keys.insert(key.clone()) {
                return Err(serde::de::Error::custom(format!("duplicate key {key:?}")));
            }
            fields.push((key, node.into()));
        }
        Ok(Content::Mapping(fields))
    }
}
