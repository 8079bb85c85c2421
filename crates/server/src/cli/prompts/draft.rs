//! What a draft or a version holds, as the server tells it.

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The content of a draft or a version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Draft {
    /// Title for people.
    pub(super) title: String,
    /// What it is for.
    pub(super) description: Option<String>,
    /// One word that sorts it.
    pub(super) category: Option<String>,
    /// Words that find it.
    #[serde(default)]
    pub(super) tags: Vec<String>,
    /// The text.
    pub(super) generator: String,
    /// The system prompt.
    pub(super) system_prompt: Option<String>,
    /// The text that has an answer criticised.
    pub(super) critique_prompt: Option<String>,
}

impl Draft {
    /// Every field as it is sent.
    pub(super) fn fields(&self) -> [(&'static str, Value); 7] {
        [
            ("title", json!(self.title)),
            ("description", json!(self.description)),
            ("category", json!(self.category)),
            ("tags", json!(self.tags)),
            ("generator", json!(self.generator)),
            ("system_prompt", json!(self.system_prompt)),
            ("critique_prompt", json!(self.critique_prompt)),
        ]
    }

    /// The fields that are other than in `before`, as they are sent.
    pub(super) fn changes(&self, before: &Self) -> Map<String, Value> {
        let before = before.fields();
        let differing = self.fields().into_iter().zip(before).filter(|(now, then)| now != then);
        differing.map(|((name, value), _)| (name.to_owned(), value)).collect()
    }

    /// The texts that are files of their own: name of the field, name of the file, text.
    pub(super) fn texts(&self) -> [(&'static str, &'static str, Option<&str>); 3] {
        [
            ("generator", super::files::GENERATOR, Some(&self.generator)),
            ("system_prompt", super::files::SYSTEM, self.system_prompt.as_deref()),
            ("critique_prompt", super::files::CRITIQUE, self.critique_prompt.as_deref()),
        ]
    }
}
