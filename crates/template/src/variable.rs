use serde_json::Value;

use crate::error::{Problem, TemplateError};
use crate::limits::{MAX_MEMBERS, MAX_NAME_BYTES, MAX_VALUE_BYTES};

/// What values a variable takes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Any text.
    String,
    /// A number of JSON.
    Number,
    /// `true` or `false`.
    Boolean,
    /// One of these texts.
    Enum(Vec<String>),
    /// Any JSON.
    Json,
    /// A JSON array.
    Array,
    /// A JSON object.
    Object,
}

impl Kind {
    /// One of these texts.
    pub fn one_of<T: Into<String>>(members: impl IntoIterator<Item = T>) -> Self {
        Self::Enum(members.into_iter().map(Into::into).collect())
    }

    /// The name of the type.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Enum(_) => "enum",
            Self::Json => "json",
            Self::Array => "array",
            Self::Object => "object",
        }
    }

    /// The type that a placeholder names: `number`, `enum(a|b)`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "string" => Self::String,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            "json" => Self::Json,
            "array" => Self::Array,
            "object" => Self::Object,
            _ => {
                let members = text.strip_prefix("enum(")?.strip_suffix(')')?;
                Self::one_of(members.split('|').map(str::trim))
            }
        })
    }

    /// Whether values of this type can hold text of a stranger.
    pub(crate) const fn holds_text(&self) -> bool {
        matches!(self, Self::String | Self::Json | Self::Array | Self::Object)
    }

    /// The text of a value.
    pub(crate) fn text_of(&self, value: &Value) -> Result<String, Problem> {
        let text = match (self, value) {
            (Self::String, Value::String(text)) => text.clone(),
            (Self::Enum(members), Value::String(text)) => {
                members.iter().find(|member| *member == text).cloned().ok_or(Problem::NotAMember)?
            }
            (Self::Number, Value::Number(_))
            | (Self::Boolean, Value::Bool(_))
            | (Self::Json, _)
            | (Self::Array, Value::Array(_))
            | (Self::Object, Value::Object(_)) => value.to_string(),
            _ => return Err(Problem::WrongType(self.name())),
        };
        if text.len() > MAX_VALUE_BYTES {
            return Err(Problem::TooLarge { what: "a value", most: MAX_VALUE_BYTES });
        }
        Ok(text)
    }
}

/// How a value that can hold text of a stranger stands in the prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// On lines of its own, between boundaries.
    #[default]
    Fenced,
    /// Within a sentence: at most [`MAX_INLINE_BYTES`](crate::limits::MAX_INLINE_BYTES), line breaks become spaces, `<` and `>`
    /// become `&lt;` and `&gt;`. For names and titles. A model sees no border between it and the text around.
    Inline,
}

/// A variable of a template.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) default: Option<Value>,
    pub(crate) placement: Placement,
    pub(crate) description: Option<String>,
}

impl Variable {
    /// A required variable.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), kind, default: None, placement: Placement::Fenced, description: None }
    }

    /// Takes this value if none is given.
    #[must_use]
    pub fn default_value(mut self, value: Value) -> Self {
        self.default = Some(value);
        self
    }

    /// How its value stands in the prompt.
    #[must_use]
    pub fn placed(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What values it takes.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// What the template says it is (`{{name:type // this}}`).
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Whether a value must be given.
    pub fn is_required(&self) -> bool {
        self.default.is_none()
    }

    pub(crate) fn check(&self) -> Result<(), TemplateError> {
        let fail = |problem| Err(TemplateError::about(problem, &self.name));
        if !is_name(&self.name) {
            return fail(Problem::InvalidName);
        }
        if self.name.len() > MAX_NAME_BYTES {
            return fail(Problem::TooLarge { what: "a name", most: MAX_NAME_BYTES });
        }
        if let Kind::Enum(members) = &self.kind
            && members.len() > MAX_MEMBERS
        {
            return fail(Problem::TooLarge { what: "an enum", most: MAX_MEMBERS });
        }
        match &self.default {
            Some(default) if self.kind.text_of(default).is_err() => fail(Problem::WrongDefault),
            _ => Ok(()),
        }
    }
}

/// A letter or `_`, then letters, digits, `_` and `-`.
pub(crate) fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && characters.all(|character| character.is_alphanumeric() || matches!(character, '_' | '-'))
}
