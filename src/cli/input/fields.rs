//! Reads a type from a [`Node`]. An error names the line and the field, and uses the terms of YAML rather than those of
//! serde.

use serde::{
    de::{self, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor},
    forward_to_deserialize_any,
};
use serde_json::Value;

use crate::cli::input::{
    field_error::FieldError,
    node::{Content, Node},
};

impl<'de> Deserializer<'de> for &'de Node {
    type Error = FieldError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        match &self.content {
            Content::Scalar(Value::Bool(value)) => visitor.visit_bool(*value),
            Content::Scalar(Value::String(text)) => visitor.visit_borrowed_str(text),
            Content::Scalar(Value::Number(number)) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), ..) => visitor.visit_u64(value),
                (_, Some(value), _) => visitor.visit_i64(value),
                (.., value) => visitor.visit_f64(value.unwrap_or(f64::NAN)),
            },
            Content::Scalar(_) => visitor.visit_unit(),
            Content::List(nodes) => visitor.visit_seq(Elements { nodes, position: 0 }),
            Content::Mapping(fields) => visitor.visit_map(Fields { fields, value: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        match &self.content {
            Content::Scalar(Value::Null) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &str, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_newtype_struct(self)
    }

    /// A derived struct would take a list for its fields in order, and an empty one for all defaults.
    fn deserialize_struct<V: Visitor<'de>>(self, _: &str, _: &[&str], visitor: V) -> Result<V::Value, FieldError> {
        match &self.content {
            Content::List(_) => Err(de::Error::invalid_type(Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    /// A string that names one of several unit variants; anything else is the error of a wrong type.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        match &self.content {
            Content::Scalar(Value::String(text)) => {
                let word: de::value::StrDeserializer<'de, FieldError> = text.as_str().into_deserializer();
                visitor.visit_enum(word)
            }
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map identifier ignored_any
    }
}

struct Elements<'de> {
    nodes: &'de [Node],
    position: usize,
}

impl<'de> SeqAccess<'de> for Elements<'de> {
    type Error = FieldError;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, FieldError> {
        let Some(node) = self.nodes.get(self.position) else { return Ok(None) };
        let position = self.position;
        self.position += 1;
        seed.deserialize(node).map(Some).map_err(|error| error.within(format!("[{position}]"), node.line))
    }
}

struct Fields<'de> {
    fields: &'de [(String, Node)],
    value: Option<(&'de str, &'de Node)>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = FieldError;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, FieldError> {
        let Some(((key, node), rest)) = self.fields.split_first() else { return Ok(None) };
        self.fields = rest;
        self.value = Some((key, node));
        let key: de::value::BorrowedStrDeserializer<'de, FieldError> = de::value::BorrowedStrDeserializer::new(key);
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, FieldError> {
        let Some((key, node)) = self.value.take() else { return seed.deserialize(().into_deserializer()) };
        seed.deserialize(node).map_err(|error| error.within(key, node.line))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::api::ClusterVersion;

    #[rstest]
    #[case::text_for_a_list(
        "spec:\n  overrides: none\n",
        2,
        "spec.overrides: found the string \"none\", expected a list"
    )]
    #[case::boolean_in_quotes(
        "spec:\n  overrides:\n  - kind: A\n    unmanaged: \"true\"\n",
        4,
        "spec.overrides[0].unmanaged: found the string \"true\", expected a boolean"
    )]
    #[case::number_for_text(
        "status:\n  desired:\n    version: 4.20\n",
        3,
        "status.desired.version: found the number 4.2, expected a string (put it in quotes)"
    )]
    #[case::list_for_a_mapping("spec: {}\nstatus:\n- 1\n", 3, "status: found a list, expected a mapping")]
    #[case::object_is_text("text\n", 1, "found the string \"text\", expected a mapping")]
    fn a_field_of_the_wrong_type_is_named_with_its_line(#[case] yaml: &str, #[case] line: usize, #[case] text: &str) {
        let node = Node::from_yaml(yaml, 1).unwrap();
        let error = node.read::<ClusterVersion>().unwrap_err();
        assert_eq!((error.line, error.to_string().as_str()), (Some(line), text));
    }

    #[rstest]
    #[case::another_word("Nobody", "spec.by: found the string \"Nobody\", expected one of Gate, Bridge, Force")]
    #[case::no_word("[1]", "spec.by: found a list, expected enum AcceptedBy")]
    fn a_word_out_of_a_few_is_read_or_refused(#[case] by: &str, #[case] text: &str) {
        let yaml = |by: &str| {
            format!(
                "metadata: {{name: a}}\nspec: {{from: a, to: b, type: patch, image: c, overrides: [], acceptedRisks: d, \
                 by: {by}, acceptedTime: e}}\nstatus: {{outcome: Abandoned}}\n"
            )
        };
        let read = |by| Node::from_yaml(&yaml(by), 1).unwrap().read::<crate::api::UpdateRecord>();
        assert_eq!(read("Bridge").unwrap().spec.by, crate::api::AcceptedBy::Bridge);
        assert_eq!(read(by).unwrap_err().to_string(), text);
    }

    #[test]
    fn a_tree_reads_like_the_same_object_from_the_api_server() {
        let json = r#"{"metadata": {"name": "version", "generation": 3, "unknown": [1, -2, 0.5, null]},
            "spec": {"channel": null, "overrides": [{"kind": "A", "unmanaged": true}]},
            "status": {"history": [{"state": "Completed", "version": "4.21.1", "new": {"a": 18446744073709551615}}]}}"#;
        let expected = ClusterVersion::from_value(serde_json::from_str(json).unwrap()).unwrap();
        assert_eq!(Node::from_json(json, 1).unwrap().read::<ClusterVersion>().unwrap(), expected);
        assert_eq!(Node::from_yaml(json, 1).unwrap().read::<ClusterVersion>().unwrap(), expected);
    }
}
