use serde_json::{Map, Value};

use crate::boundary::{Boundary, harmless, inline, is_open_tag};
use crate::error::{Problem, TemplateError};
use crate::limits::{
    MAX_INLINE_BYTES, MAX_OUTPUT_BYTES, MAX_PLACEHOLDERS, MAX_TEMPLATE_BYTES, MAX_VARIABLES,
};
use crate::parse::{Piece, Placeholder, pieces};
use crate::variable::{Kind, Placement, Variable};

/// How placeholders are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Syntax {
    /// `{{name}}`; single braces are text.
    #[default]
    Double,
    /// `{name}`; doubled braces are text.
    Single,
}

/// How a template is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How placeholders are written.
    pub syntax: Syntax,
}

/// A template that was read and checked.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
    variables: Vec<Variable>,
    /// With the index of the variable for each placeholder.
    pieces: Vec<(Piece, usize)>,
}

impl Template {
    /// Reads a template whose variables are declared apart. A type in a placeholder must be the declared one.
    ///
    /// # Errors
    ///
    /// [`Problem::UnknownVariable`] for a placeholder without a variable, with a suggestion; [`Problem::UnknownType`],
    /// [`Problem::InvalidName`], [`Problem::WrongDefault`] for a bad declaration; [`Problem::InsideTag`];
    /// [`Problem::TooLarge`].
    pub fn new(text: &str, variables: &[Variable], options: Options) -> Result<Self, TemplateError> {
        check_size(text)?;
        check_variables(variables)?;
        Self::build(text, variables.to_vec(), pieces(text, options.syntax))
    }

    /// Reads a template that declares its variables itself, as the documents' prompts do: `{{name:type // description}}`. A
    /// variable without a type is a string.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), without [`Problem::UnknownVariable`].
    pub fn self_declared(text: &str, options: Options) -> Result<Self, TemplateError> {
        check_size(text)?;
        let pieces = pieces(text, options.syntax);
        let mut variables: Vec<Variable> = Vec::new();
        for placeholder in pieces.iter().filter_map(placeholder) {
            let name = &text[placeholder.name.clone()];
            if !variables.iter().any(|variable| variable.name == name) {
                let kind = kind_of(text, placeholder)?.unwrap_or(Kind::String);
                let mut variable = Variable::new(name, kind);
                variable.description = placeholder.description.clone().map(|range| text[range].to_owned());
                variables.push(variable);
            }
            // Before the search above takes quadratic time.
            limit("variables", variables.len(), MAX_VARIABLES)?;
        }
        check_variables(&variables)?;
        Self::build(text, variables, pieces)
    }

    fn build(text: &str, variables: Vec<Variable>, pieces: Vec<Piece>) -> Result<Self, TemplateError> {
        limit("placeholders", pieces.iter().filter_map(placeholder).count(), MAX_PLACEHOLDERS)?;
        let mut bound = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let index =
                placeholder(&piece).map_or(Ok(0), |placeholder| bind(text, &variables, placeholder))?;
            if let Some(placeholder) = placeholder(&piece)
                && variables[index].kind.holds_text()
                && variables[index].placement == Placement::Inline
                && is_open_tag(before(text, &bound))
            {
                let error = TemplateError::about(Problem::InsideTag, &variables[index].name);
                return Err(error.at(text, placeholder.range.start));
            }
            bound.push((piece, index));
        }
        Ok(Self { text: text.to_owned(), variables, pieces: bound })
    }

    /// The variables, in the order of their declaration.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// Fills the template, with boundaries that need no randomness.
    ///
    /// # Errors
    ///
    /// [`Problem::MissingValue`], [`Problem::UnexpectedValue`] (both with a suggestion if a name is near),
    /// [`Problem::WrongType`], [`Problem::NotAMember`], [`Problem::TooLarge`].
    pub fn render(&self, values: &Map<String, Value>) -> Result<String, TemplateError> {
        self.render_within(values, &Boundary::Escaped)
    }

    /// Fills the template, with boundaries of a choice.
    ///
    /// # Errors
    ///
    /// As [`render`](Self::render).
    pub fn render_within(
        &self,
        values: &Map<String, Value>,
        boundary: &Boundary,
    ) -> Result<String, TemplateError> {
        for name in values.keys() {
            if !self.variables.iter().any(|variable| variable.name == *name) {
                return Err(
                    TemplateError::about(Problem::UnexpectedValue, name).suggest(names(&self.variables))
                );
            }
        }
        let texts: Vec<String> = self
            .variables
            .iter()
            .map(|variable| self.text_of(variable, values, boundary))
            .collect::<Result<_, _>>()?;
        let mut out = String::with_capacity(self.text.len());
        for (piece, index) in &self.pieces {
            out.push_str(match piece {
                Piece::Text(range) => &self.text[range.clone()],
                Piece::Placeholder(_) => &texts[*index],
            });
            limit("a filled template", out.len(), MAX_OUTPUT_BYTES)?;
        }
        Ok(out)
    }

    /// What stands in the place of a variable.
    fn text_of(
        &self,
        variable: &Variable,
        values: &Map<String, Value>,
        boundary: &Boundary,
    ) -> Result<String, TemplateError> {
        let fail = |problem| {
            let error = TemplateError::about(problem, &variable.name);
            let first = self.pieces.iter().filter_map(|(piece, _)| placeholder(piece));
            let first =
                first.into_iter().find(|placeholder| self.text[placeholder.name.clone()] == variable.name);
            first.map_or(error.clone(), |first| error.at(&self.text, first.range.start))
        };
        let value = values.get(&variable.name).or(variable.default.as_ref());
        let value = value.ok_or_else(|| fail(Problem::MissingValue))?;
        let text = variable.kind.text_of(value).map_err(fail)?;
        if !variable.kind.holds_text() {
            return Ok(text);
        }
        match variable.placement {
            Placement::Inline if text.len() > MAX_INLINE_BYTES => {
                Err(fail(Problem::TooLarge { what: "a value without boundaries", most: MAX_INLINE_BYTES }))
            }
            Placement::Inline => Ok(inline(&text)),
            Placement::Fenced => {
                let mut out = String::with_capacity(text.len() + 64);
                boundary.enclose(&mut out, &variable.name, &harmless(&text));
                Ok(out)
            }
        }
    }
}

fn placeholder(piece: &Piece) -> Option<&Placeholder> {
    match piece {
        Piece::Placeholder(placeholder) => Some(placeholder),
        Piece::Text(_) => None,
    }
}

/// The text directly before the next piece; none behind a value, which cannot end in a `<`.
fn before<'a>(text: &'a str, pieces: &[(Piece, usize)]) -> &'a str {
    match pieces.last() {
        Some((Piece::Text(range), _)) => &text[range.clone()],
        _ => "",
    }
}

fn bind(text: &str, variables: &[Variable], placeholder: &Placeholder) -> Result<usize, TemplateError> {
    let name = &text[placeholder.name.clone()];
    let Some(index) = variables.iter().position(|variable| variable.name == name) else {
        let error = TemplateError::about(Problem::UnknownVariable, name).at(text, placeholder.range.start);
        return Err(error.suggest(names(variables)));
    };
    match kind_of(text, placeholder)? {
        Some(kind) if kind != variables[index].kind => {
            Err(TemplateError::about(Problem::UnknownType, name).at(text, placeholder.range.start))
        }
        _ => Ok(index),
    }
}

fn kind_of(text: &str, placeholder: &Placeholder) -> Result<Option<Kind>, TemplateError> {
    let Some(kind) = placeholder.kind.clone() else {
        return Ok(None);
    };
    let name = &text[placeholder.name.clone()];
    let unknown = || TemplateError::about(Problem::UnknownType, name).at(text, placeholder.range.start);
    Kind::parse(&text[kind]).map(Some).ok_or_else(unknown)
}

fn names(variables: &[Variable]) -> impl Iterator<Item = &str> {
    variables.iter().map(|variable| variable.name.as_str())
}

fn check_size(text: &str) -> Result<(), TemplateError> {
    limit("a template", text.len(), MAX_TEMPLATE_BYTES)
}

fn check_variables(variables: &[Variable]) -> Result<(), TemplateError> {
    limit("variables", variables.len(), MAX_VARIABLES)?;
    for (index, variable) in variables.iter().enumerate() {
        variable.check()?;
        if names(&variables[..index]).any(|name| name == variable.name) {
            return Err(TemplateError::about(Problem::InvalidName, &variable.name));
        }
    }
    Ok(())
}

fn limit(what: &'static str, found: usize, most: usize) -> Result<(), TemplateError> {
    if found > most { Err(TemplateError::new(Problem::TooLarge { what, most })) } else { Ok(()) }
}
