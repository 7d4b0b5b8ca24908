//! A field that can't be read: where it is, what was found there and what was expected.

use std::fmt;

use serde::de::{self, Unexpected};

/// Characters of a value that an error repeats.
const EXCERPT: usize = 40;

/// A field that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Its line.
    pub line: Option<usize>,
    /// Its place in the object, outermost first.
    path: Vec<String>,
    /// What was found there, and what was expected.
    problem: String,
}

impl FieldError {
    /// An error whose place isn't known yet.
    pub fn new(problem: String) -> Self {
        Self { line: None, path: Vec::new(), problem }
    }

    /// The error with a line, if it has none yet.
    pub fn at(self, line: usize) -> Self {
        Self { line: self.line.or(Some(line)), ..self }
    }

    /// The error of something inside the field that `key` names.
    pub fn within(mut self, key: impl Into<String>, line: usize) -> Self {
        self.path.insert(0, key.into());
        self.at(line)
    }

    /// The field as `kubectl explain` would take it, with positions in lists.
    fn field(&self) -> String {
        let mut field = String::new();
        for part in &self.path {
            if !field.is_empty() && !part.starts_with('[') {
                field.push('.');
            }
            field.push_str(part);
        }
        field
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field() {
            field if field.is_empty() => formatter.write_str(&self.problem),
            field => write!(formatter, "{field}: {}", self.problem),
        }
    }
}

impl std::error::Error for FieldError {}

impl de::Error for FieldError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let expected = match expected.to_string() {
            text if text == "a sequence" => "a list".to_owned(),
            text if text == "a map" || text.starts_with("struct ") => "a mapping".to_owned(),
            text if text == "i64" => "a whole number".to_owned(),
            text => text,
        };
        let scalar = matches!(
            found,
            Unexpected::Bool(_) | Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_)
        );
        let hint = if scalar && expected == "a string" { " (put it in quotes)" } else { "" };
        Self::new(format!("found {}, expected {expected}{hint}", describe(found)))
    }

    fn unknown_variant(found: &str, expected: &'static [&'static str]) -> Self {
        let excerpt: String = found.chars().take(EXCERPT).collect();
        Self::new(format!("found the string {excerpt:?}, expected one of {}", expected.join(", ")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("found no {field}, which every object has"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("found {field} twice, expected it once"))
    }
}

/// A value, in a sentence that begins with "found".
pub fn describe(value: Unexpected<'_>) -> String {
    match value {
        Unexpected::Bool(value) => format!("the boolean {value}"),
        Unexpected::Unsigned(value) => format!("the number {value}"),
        Unexpected::Signed(value) => format!("the number {value}"),
        Unexpected::Float(value) => format!("the number {value}"),
        Unexpected::Str(text) if text.chars().count() > EXCERPT => {
            format!("the string {:?}…", text.chars().take(EXCERPT).collect::<String>())
        }
        Unexpected::Str(text) => format!("the string {text:?}"),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a mapping".to_owned(),
        other => other.to_string(),
    }
}
