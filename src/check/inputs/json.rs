//! Picking objects out of JSON: its own reader passes over what doesn't matter faster than we could cut it out.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    files::Origin,
    found::Found,
    node::{Node, SyntaxError},
    skim::Head,
    syntax,
};
use crate::check::error::{Error, Place};

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

/// Reads JSON objects, one or several in a row.
pub fn read(text: &str, first: usize, origin: &Origin, found: &mut Found) -> Result<(), Error> {
    for object in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let object = object.map_err(|error| syntax(&SyntaxError::json(&error, first), "JSON", origin))?;
        read_object(text, object, first, None, origin, found)?;
    }
    Ok(())
}

fn read_object(
    text: &str,
    object: &RawValue,
    first: usize,
    inherited: Option<(&str, &str)>,
    origin: &Origin,
    found: &mut Found,
) -> Result<(), Error> {
    let object = object.get();
    let line = || {
        let before = object.as_ptr().addr() - text.as_ptr().addr();
        first + memchr::memchr_iter(b'\n', &text.as_bytes()[..before]).count()
    };
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
        if !found.purpose.matters(&plain) {
            found.pass_over(plain.kind, || Place::new(&origin.name, line()));
            return Ok(());
        }
        let list = plain.kind.filter(|kind| kind.ends_with("List"));
        let items = head.items.and_then(|items| serde_json::from_str::<Vec<&RawValue>>(items.get()).ok());
        if let (Some(api_version), Some(list), Some(items)) = (plain.api_version, list, items) {
            let inherited = found.enter_list(api_version, list);
            return items.into_iter().try_for_each(|item| read_object(text, item, first, inherited, origin, found));
        }
    }
    let first = line();
    let node = Node::from_json(object, first).map_err(|error| syntax(&error, "JSON", origin))?;
    match found.take(&node, inherited, origin) {
        Err(Error::Field { .. } | Error::Shape { .. }) => {
            found.take(&node.with_lines_of(object, first), inherited, origin)
        }
        result => result,
    }
}
