//! Both sides of every limit.

use std::fmt::Write;

use keywright_template::limits::{
    MAX_INLINE_BYTES, MAX_MEMBERS, MAX_NAME_BYTES, MAX_OUTPUT_BYTES, MAX_PLACEHOLDERS, MAX_TEMPLATE_BYTES,
    MAX_VALUE_BYTES, MAX_VARIABLES,
};
use keywright_template::{Kind, Options, Placement, Problem, Template, TemplateError, Variable};
use serde_json::{Value, json};

fn read(text: &str, variables: &[Variable]) -> Result<Template, TemplateError> {
    Template::new(text, variables, Options::default())
}

fn is_limit<T>(result: Result<T, TemplateError>, limit: usize) -> bool {
    result.is_err_and(|error| matches!(error.problem, Problem::TooLarge { most, .. } if most == limit))
}

#[test]
fn the_size_of_a_template() {
    assert!(read(&"x".repeat(MAX_TEMPLATE_BYTES), &[]).is_ok());
    assert!(is_limit(read(&"x".repeat(MAX_TEMPLATE_BYTES + 1), &[]), MAX_TEMPLATE_BYTES));
}

#[test]
fn variables_and_placeholders() {
    let declared =
        |count: usize| (0..count).map(|n| Variable::new(format!("v{n}"), Kind::Number)).collect::<Vec<_>>();
    assert!(read("", &declared(MAX_VARIABLES)).is_ok());
    assert!(is_limit(read("", &declared(MAX_VARIABLES + 1)), MAX_VARIABLES));
    let itself = |count: usize| {
        let mut text = String::new();
        (0..count).for_each(|n| write!(text, "{{{{v{n}}}}}").unwrap());
        Template::self_declared(&text, Options::default())
    };
    assert_eq!(itself(MAX_VARIABLES).unwrap().variables().len(), MAX_VARIABLES);
    assert!(is_limit(itself(MAX_VARIABLES + 1), MAX_VARIABLES));
    let placed = |count: usize| read(&"{{v0}}".repeat(count), &declared(1));
    assert!(placed(MAX_PLACEHOLDERS).is_ok());
    assert!(is_limit(placed(MAX_PLACEHOLDERS + 1), MAX_PLACEHOLDERS));
}

#[test]
fn names_and_members() {
    let named = |length: usize| read("", &[Variable::new("n".repeat(length), Kind::Number)]);
    assert!(named(MAX_NAME_BYTES).is_ok());
    assert!(is_limit(named(MAX_NAME_BYTES + 1), MAX_NAME_BYTES));
    let members =
        |count: usize| read("", &[Variable::new("e", Kind::one_of((0..count).map(|n| n.to_string())))]);
    assert!(members(MAX_MEMBERS).is_ok());
    assert!(is_limit(members(MAX_MEMBERS + 1), MAX_MEMBERS));
}

#[test]
fn values() {
    let fill = |placement, value: Value| {
        let template = read("{{a}}", &[Variable::new("a", Kind::String).placed(placement)]).unwrap();
        template.render(json!({"a": value}).as_object().unwrap())
    };
    for (placement, most) in [(Placement::Fenced, MAX_VALUE_BYTES), (Placement::Inline, MAX_INLINE_BYTES)] {
        assert!(fill(placement, json!("x".repeat(most))).is_ok());
        assert!(is_limit(fill(placement, json!("x".repeat(most + 1))), most));
    }
}

#[test]
fn the_size_of_a_filled_template() {
    let fences = "<user_input name=\"a\">\n\n</user_input>".len();
    let text = 200 << 10;
    let value = (MAX_OUTPUT_BYTES - text) / 8 - fences;
    let fill = |more: usize| {
        let text = format!("{}{}", "{{a}}".repeat(8), "x".repeat(text + more));
        let template = read(&text, &[Variable::new("a", Kind::String)]).unwrap();
        template.render(json!({"a": "v".repeat(value)}).as_object().unwrap()).map(|filled| filled.len())
    };
    assert_eq!(fill(0), Ok(MAX_OUTPUT_BYTES));
    assert!(is_limit(fill(1), MAX_OUTPUT_BYTES));
}
