//! Splits a large text into its objects without parsing it. A must-gather holds tens of megabytes of objects, of which
//! few are relevant. The parser alone takes about half a second to a second and a half for them, depending on how many
//! files name a relevant kind (docs/adr/0012-reading-inputs.md).
//!
//! This relies on one rule of YAML: the content of a value in a block mapping or list is indented further than its key
//! or dash, whether it is a block scalar, a folded or a quoted text. So the lines at an object's own indentation are
//! its keys, and nothing else is. If a text is not in that plain style (flow style, anchors, tags, merge keys, quotes
//! around a key, tabs), the answer is `None`, and the parser reads it instead: the prefilter may pass too much to the
//! parser, never too little.

/// A piece of text, with the number of its first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice<'a> {
    /// The text, from the start of a line.
    pub text: &'a str,
    /// Its first line, counted from 1.
    pub line: usize,
}

/// What identifies an object, as far as it is written in plain style. `None` may also mean: not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head<'a> {
    /// `apiVersion`.
    pub api_version: Option<&'a str>,
    /// `kind`.
    pub kind: Option<&'a str>,
    /// `metadata.namespace`.
    pub namespace: Option<&'a str>,
    /// `metadata.name`.
    pub name: Option<&'a str>,
}

/// One document, cut up.
#[derive(Debug, PartialEq, Eq)]
pub struct Outline<'a> {
    /// Of the object, or of the List.
    pub head: Head<'a>,
    /// The entries of a top-level `items`, each with its head; `None` for a head that is not known.
    pub items: Option<Vec<(Slice<'a>, Option<Head<'a>>)>>,
}

/// Splits a text at its document markers. A directive stays with its document.
pub fn documents(text: &str) -> Vec<Slice<'_>> {
    let mut documents = Vec::new();
    let (mut start, mut first) = (0, 1);
    let (mut has_content, mut has_directive) = (false, false);
    for line in Lines::new(text) {
        let marker = match line.text.as_bytes() {
            [first, second, third] | [first, second, third, b' ' | b'\t', ..] => [*first, *second, *third],
            _ => [0; 3],
        };
        if marker == *b"---" {
            if has_content {
                documents.push(Slice { text: &text[start..line.start], line: first });
            }
            if has_content || !has_directive {
                (start, first) = (line.start, line.number);
            }
            (has_content, has_directive) = (!is_blank(&line.text[3..]), false);
        } else if marker == *b"..." {
            if has_content {
                documents.push(Slice { text: &text[start..line.start], line: first });
            }
            (start, first) = (line.end, line.number + 1);
            (has_content, has_directive) = (false, false);
        } else if !has_content {
            has_directive |= line.text.starts_with('%');
            has_content = !line.text.starts_with('%') && !line.is_blank();
        }
    }
    if has_content {
        documents.push(Slice { text: &text[start..], line: first });
    }
    documents
}

/// Outlines one document; `None` if it is not in plain style.
pub fn outline(document: Slice<'_>) -> Option<Outline<'_>> {
    // A lone carriage return is a line break to YAML, and would hide keys from us.
    let mut returns = document.text.match_indices('\r');
    if returns.any(|(at, _)| document.text.as_bytes().get(at + 1) != Some(&b'\n')) {
        return None;
    }
    let mut head = HeadScan::at(0);
    let mut items: Option<ItemScan<'_>> = None;
    let mut in_items = false;
    for line in Lines::new(document.text) {
        if line.is_blank() {
            continue;
        }
        if line.number == 1
            && let Some(after_marker) = line.text.strip_prefix("---")
        {
            if !is_blank(after_marker) {
                return None;
            }
            continue;
        }
        let (indent, rest) = line.split();
        let starts_key = indent == 0 && !starts_entry(rest);
        if in_items && !starts_key {
            items.as_mut()?.feed(document, &line, indent, rest)?;
            continue;
        }
        if in_items {
            items.as_mut()?.close(document, line.start);
        }
        head.feed(indent, rest);
        in_items = head.key == "items" && starts_key;
        if in_items {
            match (head.value, &items) {
                ("", None) => items = Some(ItemScan::default()),
                ("[]", None) => (items, in_items) = (Some(ItemScan::default()), false),
                _ => return None,
            }
        }
    }
    if let Some(items) = &mut items {
        items.close(document, document.text.len());
    }
    Some(Outline { head: head.finish()?, items: items.map(|items| items.found) })
}

/// The entries of `items`, while the lines are read.
#[derive(Default)]
struct ItemScan<'a> {
    found: Vec<(Slice<'a>, Option<Head<'a>>)>,
    /// The column of the dashes.
    column: usize,
    /// Start and line of the entry that is open, and its head where that has begun.
    open: Option<(usize, usize, Option<HeadScan<'a>>)>,
}

impl<'a> ItemScan<'a> {
    fn feed(&mut self, document: Slice<'a>, line: &Line<'a>, indent: usize, rest: &'a str) -> Option<()> {
        let entry = starts_entry(rest).then(|| &rest[1..]);
        if self.open.is_none() && self.found.is_empty() {
            self.column = indent;
        }
        match entry {
            Some(after) if indent == self.column => {
                self.close(document, line.start);
                let value = after.trim_start_matches(' ');
                let head = (!value.is_empty()).then(|| {
                    let mut head = HeadScan::at(indent + rest.len() - value.len());
                    head.feed(head.indent, value);
                    head
                });
                self.open = Some((line.start, line.number, head));
            }
            _ => {
                let (_, _, head) = self.open.as_mut()?;
                if indent <= self.column {
                    // Only a comment may be left of an entry's content.
                    return None;
                }
                head.get_or_insert_with(|| HeadScan::at(indent)).feed(indent, rest);
            }
        }
        Some(())
    }

    fn close(&mut self, document: Slice<'a>, end: usize) {
        if let Some((start, line, head)) = self.open.take() {
            let slice = Slice { text: &document.text[start..end], line: document.line + line - 1 };
            self.found.push((slice, head.and_then(HeadScan::finish)));
        }
    }
}

/// The head of one block mapping, while its lines are read.
struct HeadScan<'a> {
    indent: usize,
    metadata_indent: Option<usize>,
    head: Head<'a>,
    /// The last key at this mapping's own indentation, and the text after it.
    key: &'a str,
    value: &'a str,
    plain: bool,
    metadata_plain: bool,
}

impl<'a> HeadScan<'a> {
    fn at(indent: usize) -> Self {
        Self {
            indent,
            metadata_indent: None,
            head: Head::default(),
            key: "",
            value: "",
            plain: true,
            metadata_plain: true,
        }
    }

    fn feed(&mut self, indent: usize, rest: &'a str) {
        if indent > self.indent {
            if self.key == "metadata" {
                let column = *self.metadata_indent.get_or_insert(indent);
                if indent < column {
                    self.metadata_plain = false;
                } else if indent == column && !starts_entry(rest) {
                    self.feed_metadata(rest);
                }
            } else if self.key.is_empty() {
                self.plain = false;
            }
            return;
        }
        let in_compact_list = starts_entry(rest) && !self.key.is_empty() && self.value.is_empty();
        if indent == self.indent && in_compact_list {
            return;
        }
        let (true, Some((key, value))) = (indent == self.indent, key_and_value(rest)) else {
            self.plain = false;
            return;
        };
        (self.key, self.value) = (key, value);
        match key {
            "apiVersion" => self.plain &= set(&mut self.head.api_version, value),
            "kind" => self.plain &= set(&mut self.head.kind, value),
            "metadata" => self.metadata_plain &= value.is_empty() && self.metadata_indent.is_none(),
            _ => {}
        }
    }

    fn feed_metadata(&mut self, rest: &'a str) {
        match key_and_value(rest) {
            Some(("namespace", value)) => self.metadata_plain &= set(&mut self.head.namespace, value),
            Some(("name", value)) => self.metadata_plain &= set(&mut self.head.name, value),
            Some(_) => {}
            None => self.metadata_plain = false,
        }
    }

    fn finish(mut self) -> Option<Head<'a>> {
        if !self.metadata_plain {
            (self.head.namespace, self.head.name) = (None, None);
        }
        self.plain.then_some(self.head)
    }
}

/// Takes a plain value; returns `false` if the value is not plain, or if the key occurred before.
fn set<'a>(field: &mut Option<&'a str>, value: &'a str) -> bool {
    let unquoted = match value.as_bytes() {
        [b'"', .., b'"'] | [b'\'', .., b'\''] => &value[1..value.len() - 1],
        _ => value,
    };
    let plain = !matches!(unquoted, "" | "null" | "Null" | "NULL") && unquoted.bytes().all(is_plain);
    plain && field.replace(unquoted).is_none()
}

/// A plain key and the text after it, without a comment; `None` if the line has no plain key. Like [`starts_entry`], it is
/// called for every line.
fn key_and_value(line: &str) -> Option<(&str, &str)> {
    let bytes = line.as_bytes();
    let colon = bytes.iter().position(|&byte| !is_plain(byte))?;
    let is_key =
        colon > 0 && bytes[0] != b'-' && bytes[colon] == b':' && matches!(bytes.get(colon + 1), None | Some(b' '));
    if !is_key {
        return None;
    }
    let value = trimmed(&line[colon + 1..]);
    let bytes = value.as_bytes();
    let mut marks = memchr::memchr_iter(b'#', bytes);
    let comment = marks.find(|&at| at == 0 || bytes[at - 1] == b' ');
    Some((&line[..colon], comment.map_or(value, |at| trimmed(&value[..at]))))
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/')
}

/// The text without blanks at its ends.
fn trimmed(text: &str) -> &str {
    let bytes = text.as_bytes();
    let (mut start, mut end) = (0, bytes.len());
    while start < end && matches!(bytes[start], b' ' | b'\t') {
        start += 1;
    }
    while start < end && matches!(bytes[end - 1], b' ' | b'\t') {
        end -= 1;
    }
    &text[start..end]
}

/// Whether an entry of a list starts here. It is asked for every line, so bytes are compared: a build for size calls a
/// function of the C library for each comparison of texts, however short.
fn starts_entry(rest: &str) -> bool {
    matches!(rest.as_bytes(), [b'-'] | [b'-', b' ', ..])
}

/// One line, without its break.
struct Line<'a> {
    text: &'a str,
    /// Number of blanks at its start.
    indent: usize,
    start: usize,
    /// Where the next line starts.
    end: usize,
    number: usize,
}

impl<'a> Line<'a> {
    /// True if the line is empty or a comment, so it has no key.
    fn is_blank(&self) -> bool {
        match self.text.as_bytes().get(self.indent) {
            None | Some(b'#') => true,
            Some(b'\t') => is_blank(self.text),
            Some(_) => false,
        }
    }

    fn split(&self) -> (usize, &'a str) {
        (self.indent, &self.text[self.indent..])
    }
}

fn is_blank(text: &str) -> bool {
    let text = text.trim_start_matches([' ', '\t']);
    text.is_empty() || text.starts_with('#')
}

struct Lines<'a> {
    text: &'a str,
    start: usize,
    number: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, start: 0, number: 0 }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let start = self.start;
        let rest = &self.text[start..];
        if rest.is_empty() {
            return None;
        }
        let length = memchr::memchr(b'\n', rest.as_bytes());
        let text = &rest[..length.unwrap_or(rest.len())];
        // A plain loop, as it is the one that runs over every line of tens of megabytes, unoptimised builds included.
        let (bytes, mut indent) = (text.as_bytes(), 0);
        while indent < bytes.len() && bytes[indent] == b' ' {
            indent += 1;
        }
        self.start = start + length.map_or(rest.len(), |length| length + 1);
        self.number += 1;
        let text = if bytes.last() == Some(&b'\r') { &text[..text.len() - 1] } else { text };
        Some(Line { text, indent, start, end: self.start, number: self.number })
    }
}
