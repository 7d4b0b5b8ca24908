//! Makes texts from elsewhere (a cluster, a file, another program) safe for a terminal, a log and an object's status: invisible
//! characters are escaped, long texts truncated. All code that shows or writes such a text uses this module.

use std::{error::Error, fmt::Write as _};

/// Whether a character controls a terminal or is invisible: control characters (C0, C1 and DEL), line and paragraph
/// separators, characters that change the direction of text, and those that Unicode calls default ignorable or annotations.
#[must_use]
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A text on one line, with unprintable characters escaped as in Rust: `\u{1b}`, `\n`.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    push_escaped(&mut escaped, text);
    escaped
}

/// A text with unprintable characters escaped, except line breaks.
#[must_use]
pub fn escape_lines(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            escaped.push('\n');
        }
        push_escaped(&mut escaped, line);
    }
    escaped
}

fn push_escaped(escaped: &mut String, text: &str) {
    // Almost every text, and there may be a thousand ClusterOperators.
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        escaped.push_str(text);
        return;
    }
    for character in text.chars() {
        if is_unprintable(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
}

/// An error and its causes, on one line, without repetitions. Only the first line of each: parsers repeat their input in the
/// next lines, which may be a secret.
#[must_use]
pub fn causes(error: &dyn Error) -> String {
    let first_line = |error: &dyn Error| escape(error.to_string().lines().next().unwrap_or_default());
    let mut text = first_line(error);
    let mut source = error.source();
    while let Some(error) = source {
        let cause = first_line(error);
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

/// A JSON document with the unprintable characters of its strings escaped, as JSON defines it.
#[must_use]
pub fn escape_json(document: &str) -> String {
    escape_document(document, |escaped, character| {
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    })
}

/// The same, as YAML defines it, which has no surrogate pairs.
#[must_use]
pub fn escape_json_as_yaml(document: &str) -> String {
    escape_document(document, |escaped, character| {
        let _ = write!(escaped, "\\U{:08x}", u32::from(character));
    })
}

/// Outside of strings, the only unprintable characters are line breaks, which stay.
fn escape_document(document: &str, escape: impl Fn(&mut String, char)) -> String {
    let mut escaped = String::with_capacity(document.len());
    for character in document.chars() {
        if character != '\n' && is_unprintable(character) {
            escape(&mut escaped, character);
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// A text of at most `limit` bytes. A longer one keeps its start and its end, which often says what to do, with a count of the
/// bytes left out between them.
#[must_use]
pub fn truncate(text: String, limit: usize) -> String {
    /// Bytes of the count, at most.
    const COUNT: usize = 48;
    if text.len() <= limit {
        return text;
    }
    let room = limit.saturating_sub(COUNT);
    let end = text.floor_char_boundary(room - room / 4);
    let start = text.ceil_char_boundary(text.len() - room / 4);
    format!("{}… ({} bytes more) …{}", &text[..end], start - end, &text[start..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::colours("a\u{1b}[2Jb", "a\\u{1b}[2Jb")]
    #[case::line_breaks("a\nb\r\nc", "a\\nb\\r\\nc")]
    #[case::bell_backspace_delete("\u{7}\u{8}\u{7f}", "\\u{7}\\u{8}\\u{7f}")]
    #[case::nul("\0", "\\u{0}")]
    #[case::tabs("a\tb", "a\\tb")]
    #[case::c1("\u{9b}31m\u{85}", "\\u{9b}31m\\u{85}")]
    #[case::right_to_left("\u{202e}gpj.exe\u{2066}\u{200f}\u{61c}", "\\u{202e}gpj.exe\\u{2066}\\u{200f}\\u{61c}")]
    #[case::no_width("a\u{200b}b\u{feff}c\u{2060}d\u{ad}e", "a\\u{200b}b\\u{feff}c\\u{2060}d\\u{ad}e")]
    #[case::separators("a\u{2028}b\u{2029}c", "a\\u{2028}b\\u{2029}c")]
    #[case::tags("a\u{e0041}\u{e0100}\u{fe0f}b", "a\\u{e0041}\\u{e0100}\\u{fe0f}b")]
    #[case::blanks_that_are_letters("\u{3164}\u{115f}\u{ffa0}", "\\u{3164}\\u{115f}\\u{ffa0}")]
    #[case::what_can_be_seen("4.21.1 – é e\u{301} 中 עברית 🦀 … \\ \"", "4.21.1 – é e\u{301} 中 עברית 🦀 … \\ \"")]
    fn what_is_hidden_is_escaped_and_nothing_else(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(escape(text), expected);
    }

    #[rstest]
    #[case::short("abc", 3, "abc")]
    #[case::long(&"ab".repeat(100), 64, "abababababab… (184 bytes more) …abab")]
    #[case::within_a_character(&"中".repeat(100), 64, "中中中中… (285 bytes more) …中")]
    #[case::no_room(&"a".repeat(50), 10, "… (50 bytes more) …")]
    fn of_a_long_text_the_beginning_and_the_end_stay(#[case] text: &str, #[case] limit: usize, #[case] expected: &str) {
        assert_eq!(truncate(text.to_owned(), limit), expected);
    }

    proptest! {
        #[test]
        fn no_text_hides_anything_once_it_is_escaped(text in any::<String>()) {
            prop_assert!(!escape(&text).chars().any(is_unprintable));
            prop_assert!(!escape_lines(&text).replace('\n', "").chars().any(is_unprintable));
            prop_assert_eq!(escape(&escape(&text)), escape(&text));
        }

        #[test]
        fn escaped_json_means_the_same(text in any::<String>()) {
            let document = serde_json::to_string_pretty(&[&text]).unwrap();
            let (json, yaml) = (escape_json(&document), escape_json_as_yaml(&document));
            prop_assert!(!(json.clone() + &yaml).replace('\n', "").chars().any(is_unprintable));
            prop_assert_eq!(&serde_json::from_str::<[String; 1]>(&json).unwrap(), std::slice::from_ref(&text));
            prop_assert_eq!(serde_saphyr::from_str::<[String; 1]>(&yaml).unwrap(), [text]);
        }

        #[test]
        fn a_cut_text_is_no_longer_than_its_limit(text in "[a中🦀]{0,400}", limit in 48..600_usize) {
            prop_assert!(truncate(text, limit).len() <= limit);
        }
    }
}
