//! Fitting text into columns: counted as a terminal shows it, with everything escaped that a terminal would act on.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::escape::escape;

/// Columns from which on a word of letters only is not treated as a name to copy.
const LONGEST_NAME: usize = 64;
/// Columns up to which a command in backticks stays on one line.
const LONGEST_COMMAND: usize = 400;

/// A text as lines of at most `width` columns. Its own line breaks stay, and the lines of a bullet hang under it.
///
/// Text to copy is never broken: a word (a URL, a digest, a name) or a command in backticks that is wider than the
/// line gets a line of its own, which is then wider than `width`.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.trim_end().split('\n') {
        let line = escape(line.strip_suffix('\r').unwrap_or(line));
        let content = line.trim_start_matches(' ');
        let indent = (line.len() - content.len()).min(width / 2);
        let hang = if content.starts_with("* ") || content.starts_with("- ") { indent + 2 } else { indent };
        wrap_line(content, indent, hang.min(width / 2), width, &mut lines);
    }
    lines
}

fn wrap_line(content: &str, indent: usize, hang: usize, width: usize, lines: &mut Vec<String>) {
    let mut line = " ".repeat(indent);
    let mut used = indent;
    let mut empty = true;
    for word in words(content) {
        let columns = word.width();
        if !empty && used + 1 + columns > width {
            lines.push(std::mem::replace(&mut line, " ".repeat(hang)));
            (used, empty) = (hang, true);
        }
        if !empty {
            line.push(' ');
            used += 1;
        }
        empty = false;
        if hang + columns <= width || is_copied(word) {
            line.push_str(word);
            used += columns;
            continue;
        }
        for character in word.chars() {
            let columns = character.width().unwrap_or(0);
            if used + columns > width && used > hang {
                lines.push(std::mem::replace(&mut line, " ".repeat(hang)));
                used = hang;
            }
            line.push(character);
            used += columns;
        }
    }
    lines.push(line.trim_end().to_owned());
}

/// The words of a line; a command in backticks is one.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = line.trim_start_matches(' ');
    while !rest.is_empty() {
        let blank = rest.find(' ').unwrap_or(rest.len());
        let command = rest.find('`').filter(|open| *open < blank).and_then(|open| {
            let close = open + 1 + rest[open + 1..].find('`')?;
            Some(close + rest[close..].find(' ').unwrap_or(rest.len() - close))
        });
        let end = command.filter(|end| rest[..*end].width() <= LONGEST_COMMAND).unwrap_or(blank);
        words.push(&rest[..end]);
        rest = rest[end..].trim_start_matches(' ');
    }
    words
}

/// Whether a word may be copied, and so is never broken. Text in a script without spaces between words is not.
fn is_copied(word: &str) -> bool {
    let is_wide = word.chars().any(|character| character.width() == Some(2));
    let is_letters = word.width() > LONGEST_NAME && word.chars().all(char::is_alphabetic);
    !is_wide && !is_letters
}

/// A text, filled up with blanks.
pub fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::short("a b", 10, &["a b"])]
    #[case::at_a_blank("one two three", 8, &["one two", "three"])]
    #[case::exactly("one two", 7, &["one two"])]
    #[case::a_long_word("a 123456789 b", 5, &["a", "123456789", "b"])]
    #[case::a_url("see https://example.com/a/b.html for it", 10, &["see", "https://example.com/a/b.html", "for it"])]
    #[case::a_long_bullet("* 123456789", 5, &["*", "  123456789"])]
    #[case::a_command("then run `oc get co -o yaml`, please", 12, &["then run", "`oc get co -o yaml`,", "please"])]
    #[case::two_commands("`a b` or `c d`", 9, &["`a b` or", "`c d`"])]
    #[case::a_lone_backtick("don`t break here", 10, &["don`t", "break here"])]
    #[case::own_breaks("one\ntwo\n", 10, &["one", "two"])]
    #[case::windows_breaks("one\r\ntwo", 10, &["one", "two"])]
    #[case::empty_lines("one\n\ntwo", 10, &["one", "", "two"])]
    #[case::bullets("two reasons:\n* one two three", 10, &["two", "reasons:", "* one two", "  three"])]
    #[case::wide_characters("中中中", 4, &["中中", "中"])]
    #[case::escaped("a\u{1b}[0m", 20, &["a\\u{1b}[0m"])]
    #[case::nothing("", 10, &[""])]
    fn lines(#[case] text: &str, #[case] width: usize, #[case] expected: &[&str]) {
        assert_eq!(wrap(text, width), expected);
    }

    #[test]
    fn a_text_without_blanks_is_broken() {
        assert_eq!(wrap(&"a".repeat(70), 40), ["a".repeat(40), "a".repeat(30)]);
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(wrap(&digest, 40), [digest]);
    }
}
