//! Finds the objects in a JSON text. `serde_json` skips irrelevant values faster than a prefilter of our own would.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::{
    error::{Error, Location},
    input::{
        collector::ObjectCollector,
        node::{Node, SyntaxError},
        origin::Origin,
        prefilter::Head,
        syntax,
    },
};

/// What identifies an object, and the entries of a List.
#[derive(Deserialize)]
struct JsonHead<'a> {
    #[serde(borrow, rename = "apiVersion")]
    api_version: Option<&'a RawValue>,
    #[serde(borrow)]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    items: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct JsonMetadata {
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

/// Lists within Lists that are split here; deeper ones are left to the reader of trees, which has a limit.
const MAX_LISTS: usize = 8;

/// Reads JSON objects, one or several in a row.
pub fn read(text: &str, first: usize, origin: &Origin, collector: &mut ObjectCollector) -> Result<(), Error> {
    let mut reader = Reader { text, counted: (0, first), origin, collector };
    for object in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let object = object.map_err(|error| syntax(&SyntaxError::json(&error, first), "JSON", origin))?;
        reader.object(object, None, 0)?;
    }
    Ok(())
}

struct Reader<'a> {
    text: &'a str,
    /// An offset in the text, and the line that it is on: objects come in order, so no line is counted twice.
    counted: (usize, usize),
    origin: &'a Origin,
    collector: &'a mut ObjectCollector,
}

impl Reader<'_> {
    fn line_of(&mut self, object: &str) -> usize {
        let (before, line) = self.counted;
        let at = object.as_ptr().addr() - self.text.as_ptr().addr();
        let lines =
            self.text.as_bytes().get(before..at).map_or(0, |between| memchr::memchr_iter(b'\n', between).count());
        self.counted = (at, line + lines);
        line + lines
    }

    fn object(&mut self, object: &RawValue, inherited: Option<(&str, &str)>, lists: usize) -> Result<(), Error> {
        let object = object.get();
        let string = |value: Option<&RawValue>| serde_json::from_str::<String>(value?.get()).ok();
        if let Ok(head) = serde_json::from_str::<JsonHead<'_>>(object) {
            let (api_version, kind) = (string(head.api_version), string(head.kind));
            let metadata: JsonMetadata =
                head.metadata.and_then(|value| serde_json::from_str(value.get()).ok()).unwrap_or_default();
            let plain = Head {
                api_version: api_version.as_deref(),
                kind: kind.as_deref().or(inherited.map(|(_, kind)| kind)),
                namespace: metadata.namespace.as_deref(),
                name: metadata.name.as_deref(),
            };
            if !self.collector.kind.is_relevant(&plain) {
                let line = self.line_of(object);
                self.collector.pass_over(plain.kind, || Location::new(&self.origin.name, line));
                return Ok(());
            }
            let list = plain.kind.filter(|kind| kind.ends_with("List") && lists < MAX_LISTS);
            let items = head.items.and_then(|items| serde_json::from_str::<Vec<&RawValue>>(items.get()).ok());
            if let (Some(api_version), Some(list), Some(items)) = (plain.api_version, list, items) {
                let inherited = self.collector.enter_list(api_version, list);
                return items.into_iter().try_for_each(|item| self.object(item, inherited, lists + 1));
            }
        }
        let first = self.line_of(object);
        let node = Node::from_json(object, first).map_err(|error| syntax(&error, "JSON", self.origin))?;
        match self.collector.take(&node, inherited, self.origin) {
            Err(Error::Field { .. } | Error::Shape { .. }) => {
                self.collector.take(&node.with_lines_of(object, first), inherited, self.origin)
            }
            result => result,
        }
    }
}
