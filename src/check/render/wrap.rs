//! Fitting text into columns: counted as a terminal shows it, with everything escaped that a terminal would act on.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::text::escape;

/// A text as lines of at most `width` columns. Its own line breaks stay, the lines of a bullet hang under it, and a
/// word that is too long, a digest for instance, is cut.
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
    for word in content.split(' ').filter(|word| !word.is_empty()) {
        let columns = word.width();
        if !empty && used + 1 + columns > width {
            lines.push(std::mem::replace(&mut line, " ".repeat(hang)));
            (used, empty) = (hang, true);
        }
        if !empty {
            line.push(' ');
            used += 1;
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
        empty = false;
    }
    lines.push(line.trim_end().to_owned());
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
    #[case::a_long_word("a 123456789", 5, &["a", "12345", "6789"])]
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
}
