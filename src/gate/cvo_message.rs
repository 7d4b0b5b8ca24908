//! Parses the message of a stock CVO's `ReleaseAccepted=False` for failed preconditions. Only this message names the image
//! that the CVO has pulled and verified, so parsing is strict: it fails unless every item parses.

use crate::api::names::{precondition, reason};

/// The parsed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreconditionMessage<'a> {
    /// The version, as read from the payload.
    pub version: &'a str,
    /// The image that was loaded.
    pub image: &'a str,
    /// What failed or warned, at least one.
    pub items: Vec<Item<'a>>,
}

/// One precondition of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The precondition.
    pub name: &'a str,
    /// Its reason.
    pub reason: &'a str,
}

impl PreconditionMessage<'_> {
    /// Whether only overrides block. The precondition about recommended updates never blocks.
    #[must_use]
    pub fn blocks_for_overrides_alone(&self) -> bool {
        let is_of_overrides =
            |item: &Item<'_>| item.name == precondition::UPGRADEABLE && item.reason == reason::OVERRIDES_SET;
        let is_permitted = |item: &Item<'_>| item.name == precondition::RECOMMENDED || is_of_overrides(item);
        self.items.iter().all(is_permitted) && self.items.iter().any(is_of_overrides)
    }
}

const HEAD: &str = "Preconditions failed for payload loaded ";
const SEVERAL: &str = "Multiple precondition checks failed:";
const ITEM: &str = "Precondition \"";
const BULLET: &str = "* ";

/// The message by which a CVO refuses this release for overrides alone.
#[must_use]
pub fn refusal_for_overrides(version: &str, image: &str) -> String {
    format!(
        "{HEAD}version=\"{version}\" image=\"{image}\": {ITEM}{}\" failed because of \"{}\": overrides are set",
        precondition::UPGRADEABLE,
        reason::OVERRIDES_SET
    )
}

/// Parses a message; `None` if any part of it has another form.
///
/// The text of an item may have several lines, even with bullets. A line that begins like an item counts as one anywhere,
/// which can only add items that have to be permitted.
#[must_use]
pub fn parse(message: &str) -> Option<PreconditionMessage<'_>> {
    let (version, rest) = quoted(message.strip_prefix(HEAD)?.strip_prefix("version=")?)?;
    let (image, rest) = quoted(rest.strip_prefix(" image=")?)?;
    let body = rest.strip_prefix(": ")?;
    let mut lines = body.lines();
    let first = lines.next()?;
    let mut items = Vec::new();
    if first.trim_end() != SEVERAL {
        items.push(item(first)?);
    }
    for line in lines {
        match line.strip_prefix(BULLET) {
            Some(bulleted) if bulleted.starts_with(ITEM) => items.push(item(bulleted)?),
            // A line before the first item belongs to no item.
            _ if items.is_empty() => return None,
            _ => {}
        }
    }
    (!items.is_empty()).then_some(PreconditionMessage { version, image, items })
}

/// Version and image in any message of `ReleaseAccepted`, for any step: the first of each that is not empty.
#[must_use]
pub fn names(message: &str) -> (Option<&str>, Option<&str>) {
    let named = |key| value_after(message, key).filter(|value| !value.is_empty());
    (named("version="), named("image="))
}

/// The first quoted text after this one.
#[must_use]
pub fn value_after<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    let (_, rest) = message.split_once(before)?;
    quoted(rest).map(|(value, _)| value)
}

fn item(line: &str) -> Option<Item<'_>> {
    let (name, rest) = quoted(line.strip_prefix("Precondition ")?)?;
    let (reason, rest) = quoted(rest.strip_prefix(" failed because of ")?)?;
    rest.starts_with(':').then_some(Item { name, reason })
}

/// A text in double quotes, and the rest. A text with an escape is rejected: no release or reason has one.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let (inside, rest) = text.strip_prefix('"')?.split_once('"')?;
    (!inside.contains(['\\', '\n', '\r'])).then_some((inside, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const OVERRIDES: &str =
        "Precondition \"ClusterVersionUpgradeable\" failed because of \"ClusterVersionOverridesSet\": text";

    fn message(body: &str) -> String {
        format!("Preconditions failed for payload loaded version=\"4.21.2\" image=\"r@sha256:a\": {body}")
    }

    fn names(message: &str) -> Option<Vec<(&str, &str)>> {
        parse(message).map(|read| read.items.iter().map(|item| (item.name, item.reason)).collect())
    }

    #[test]
    fn one_item() {
        let message = message(OVERRIDES);
        let read = parse(&message).unwrap();
        assert_eq!((read.version, read.image), ("4.21.2", "r@sha256:a"));
        assert_eq!(names(&message).unwrap(), [("ClusterVersionUpgradeable", "ClusterVersionOverridesSet")]);
    }

    #[test]
    fn several_items_whose_texts_have_bullets() {
        let message = message(&format!(
            "Multiple precondition checks failed:\n* {OVERRIDES}\n* a bullet\n* Precondition without quotes\n\
             * Precondition \"ClusterVersionRecommendedUpdate\" failed because of \"UnknownUpdate\": more"
        ));
        assert_eq!(
            names(&message).unwrap(),
            [
                ("ClusterVersionUpgradeable", "ClusterVersionOverridesSet"),
                ("ClusterVersionRecommendedUpdate", "UnknownUpdate")
            ]
        );
    }

    #[test]
    fn what_looks_like_an_item_is_one() {
        let message = message(&format!(
            "{OVERRIDES}\n* Precondition \"ClusterVersionRollback\" failed because of \"LowDesiredVersion\": x"
        ));
        assert_eq!(names(&message).unwrap().len(), 2);
    }

    #[rstest]
    #[case::empty("")]
    #[case::another("Retrieving payload failed version=\"4.21.2\" image=\"r@sha256:a\" failure=x")]
    #[case::forced(&format!("Forced through blocking failures: {OVERRIDES}"))]
    #[case::no_items("Preconditions failed for payload loaded version=\"4.21.2\" image=\"r@sha256:a\": ")]
    #[case::several_of_none(
        "Preconditions failed for payload loaded version=\"a\" image=\"b\": Multiple precondition checks failed:\n"
    )]
    #[case::text_before_the_first_item(&message(&format!("Multiple precondition checks failed:\nhm\n* {OVERRIDES}")))]
    #[case::broken_second_item(&message(&format!("Multiple precondition checks failed:\n* {OVERRIDES}\n* Precondition \"A\" failed: B")))]
    #[case::escaped_quote(
        "Preconditions failed for payload loaded version=\"4\\\".1\" image=\"b\": Precondition \"a\" failed because of \"b\": c"
    )]
    #[case::cut_off("Preconditions failed for payload loaded version=\"4.21.2")]
    fn everything_else_is_no_message(#[case] text: &str) {
        assert_eq!(parse(text), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(?s).{0,80}", body in "(?s).{0,80}") {
            let _ = parse(&text);
            let _ = parse(&message(&body));
        }
    }
}
