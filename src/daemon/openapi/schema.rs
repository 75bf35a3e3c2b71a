//! [`Schema`]: the shapes of JSON, in a language of a dozen words. Static data; JSON Schema (2020-12) on demand.

use serde_json::{Map, Value, json};

/// What a value looks like.
#[derive(Clone, Copy, Debug)]
pub(in crate::daemon) enum Schema {
    /// A string.
    Text,
    /// A point in time (RFC 3339).
    Time,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// This or null.
    Nullable(&'static Schema),
    /// Any number of these.
    List(&'static Schema),
    /// An object that has these under any names.
    Map(&'static Schema),
    /// An object with these members and no others.
    Object(&'static [Field]),
    /// An object with these members, and perhaps others.
    Open(&'static [Field]),
    /// One of several shapes.
    Either(&'static [Schema]),
    /// A shape with a name of its own.
    Named(&'static Shape),
    /// Anything.
    Any,
}

/// A string or null.
pub(in crate::daemon) const TEXT_OR_NULL: Schema = Schema::Nullable(&Schema::Text);
/// A point in time or null.
pub(in crate::daemon) const TIME_OR_NULL: Schema = Schema::Nullable(&Schema::Time);
/// Strings.
pub(in crate::daemon) const TEXTS: Schema = Schema::List(&Schema::Text);
/// Strings or null.
pub(in crate::daemon) const TEXTS_OR_NULL: Schema = Schema::Nullable(&TEXTS);

/// A member of an object, a field of a form, or a parameter.
#[derive(Clone, Copy, Debug)]
pub(in crate::daemon) struct Field {
    pub(in crate::daemon) name: &'static str,
    pub(in crate::daemon) schema: Schema,
    pub(in crate::daemon) is_required: bool,
    /// What it means, where its name does not say it.
    pub(in crate::daemon) meaning: &'static str,
}

impl Field {
    /// The same with a word on what it means.
    pub(in crate::daemon) const fn means(self, meaning: &'static str) -> Self {
        Self { meaning, ..self }
    }
}

/// A member that is always there.
pub(in crate::daemon) const fn need(name: &'static str, schema: Schema) -> Field {
    Field { name, schema, is_required: true, meaning: "" }
}

/// A member that may be left out.
pub(in crate::daemon) const fn may(name: &'static str, schema: Schema) -> Field {
    Field { name, schema, is_required: false, meaning: "" }
}

/// A shape that several answers share.
#[derive(Debug)]
pub(in crate::daemon) struct Shape {
    /// Its name among the components.
    pub(in crate::daemon) name: &'static str,
    pub(in crate::daemon) meaning: &'static str,
    pub(in crate::daemon) schema: Schema,
    /// One as JSON; empty: its members say enough.
    pub(in crate::daemon) example: &'static str,
}

impl Shape {
    /// As JSON Schema.
    pub(super) fn to_json(&self) -> Value {
        let mut schema = described(self.schema.to_json(), self.meaning);
        if let Ok(example) = serde_json::from_str::<Value>(self.example) {
            schema["examples"] = json!([example]);
        }
        schema
    }
}

impl Schema {
    /// As JSON Schema. Named shapes are references.
    pub(in crate::daemon) fn to_json(self) -> Value {
        match self {
            Self::Text => json!({"type": "string"}),
            Self::Time => json!({"type": "string", "format": "date-time"}),
            Self::Integer => json!({"type": "integer"}),
            Self::Number => json!({"type": "number"}),
            Self::Flag => json!({"type": "boolean"}),
            Self::OneOf(words) => json!({"type": "string", "enum": words}),
            Self::Nullable(inner) => json!({"anyOf": [inner.to_json(), {"type": "null"}]}),
            Self::List(inner) => json!({"type": "array", "items": inner.to_json()}),
            Self::Map(inner) => json!({"type": "object", "additionalProperties": inner.to_json()}),
            Self::Object(fields) => {
                let mut object = object(fields);
                object["additionalProperties"] = false.into();
                object
            }
            Self::Open(fields) => object(fields),
            Self::Either(shapes) => json!({"anyOf": shapes.iter().map(|shape| shape.to_json()).collect::<Vec<_>>()}),
            Self::Named(shape) => json!({"$ref": format!("#/components/schemas/{}", shape.name)}),
            Self::Any => json!({}),
        }
    }

    /// Calls `found` with every named shape inside.
    pub(super) fn walk(self, found: &mut impl FnMut(&'static Shape)) {
        match self {
            Self::Text | Self::Time | Self::Integer | Self::Number | Self::Flag | Self::OneOf(_) | Self::Any => {}
            Self::Nullable(inner) | Self::List(inner) | Self::Map(inner) => inner.walk(found),
            Self::Object(fields) | Self::Open(fields) => fields.iter().for_each(|field| field.schema.walk(found)),
            Self::Either(shapes) => shapes.iter().for_each(|shape| shape.walk(found)),
            Self::Named(shape) => {
                found(shape);
                shape.schema.walk(found);
            }
        }
    }
}

fn object(fields: &[Field]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|field| (field.name.to_owned(), described(field.schema.to_json(), field.meaning))).collect();
    let mut object = json!({"type": "object", "properties": properties});
    let required: Vec<&str> = fields.iter().filter(|field| field.is_required).map(|field| field.name).collect();
    if !required.is_empty() {
        object["required"] = required.into();
    }
    object
}

/// `schema` with what it means.
pub(super) fn described(mut schema: Value, meaning: &str) -> Value {
    if !meaning.is_empty() {
        schema["description"] = meaning.into();
    }
    schema
}
