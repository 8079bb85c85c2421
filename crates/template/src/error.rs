use std::fmt;

/// Why a template cannot be read or filled. Names the variable and the place; never holds a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// What is wrong.
    pub problem: Problem,
    /// The variable it is about.
    pub variable: Option<String>,
    /// Line and column of the placeholder in the template, both from 1; columns count characters.
    pub place: Option<(usize, usize)>,
    /// A name that was perhaps meant.
    pub suggestion: Option<String>,
}

/// What is wrong with a template or its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A placeholder names no declared variable.
    #[error("there is no variable of this name")]
    UnknownVariable,
    /// A value was given for no declared variable.
    #[error("a value was given, but there is no variable of this name")]
    UnexpectedValue,
    /// A required variable has no value.
    #[error("a required variable has no value")]
    MissingValue,
    /// A value has the wrong type.
    #[error("the value has the wrong type: expected {0}")]
    WrongType(&'static str),
    /// A value is not a member of the enum.
    #[error("the value is none of the allowed ones")]
    NotAMember,
    /// The default of a variable does not fit its type.
    #[error("the default does not fit the type")]
    WrongDefault,
    /// `{{name:type}}` with a type that does not exist, or other than declared.
    #[error("the type is unknown, or not the declared one")]
    UnknownType,
    /// A name that no placeholder could have, or a variable declared twice.
    #[error("the name is not valid, or declared twice")]
    InvalidName,
    /// A value without boundaries where it could complete a tag: directly behind `<`.
    #[error("a value without boundaries would stand inside a tag; put something between it and the `<`")]
    InsideTag,
    /// More than a limit allows.
    #[error("too large: {what} may have at most {most}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit, see [`crate::limits`].
        most: usize,
    },
}

impl TemplateError {
    pub(crate) fn new(problem: Problem) -> Self {
        Self { problem, variable: None, place: None, suggestion: None }
    }

    pub(crate) fn about(problem: Problem, variable: &str) -> Self {
        // A name that is too long to be one is not repeated.
        let shown = variable.chars().take(crate::limits::MAX_NAME_BYTES).collect();
        Self { variable: Some(shown), ..Self::new(problem) }
    }

    /// With the place of a byte of the template.
    pub(crate) fn at(mut self, template: &str, offset: usize) -> Self {
        let before = &template[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        self.place = Some((line, before[line_start..].chars().count() + 1));
        self
    }

    /// With the name most like the variable's, if one is near.
    pub(crate) fn suggest<'a>(mut self, names: impl Iterator<Item = &'a str>) -> Self {
        if let Some(variable) = &self.variable {
            let least = (variable.chars().count() / 3).clamp(1, 3);
            let near =
                names.map(|name| (distance(variable, name), name)).filter(|(distance, _)| *distance <= least);
            self.suggestion = near.min().map(|(_, name)| name.to_owned());
        }
        self
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(formatter, "line {line}, column {column}: ")?;
        }
        if let Some(variable) = &self.variable {
            write!(formatter, "`{}`: ", variable.escape_debug())?;
        }
        write!(formatter, "{}", self.problem)?;
        match &self.suggestion {
            Some(suggestion) => write!(formatter, "; did you mean `{suggestion}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for TemplateError {}

/// How many characters must be inserted, removed, replaced or swapped with their neighbour, case aside.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.to_lowercase().chars().collect();
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let mut rows = vec![(0..=other.len()).collect::<Vec<_>>()];
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut least = (rows[i][j + 1] + 1).min(row[j] + 1).min(rows[i][j] + usize::from(a != b));
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (one, other, expected) in [
            ("", "", 0),
            ("question", "question", 0),
            ("Question", "question", 0),
            ("qeustion", "question", 1),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn it_reads_as_a_sentence() {
        let error = TemplateError::about(Problem::UnknownVariable, "qestion")
            .at("a\nbü {{qestion}}", 6)
            .suggest(["question", "x"].into_iter());
        assert_eq!(
            error.to_string(),
            "line 2, column 4: `qestion`: there is no variable of this name; did you mean `question`?"
        );
    }
}
