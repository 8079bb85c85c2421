//! What comes out, and what is refused. Requirements 227-234, snippet 20, contradiction S11 of the documents.

use keywright_template::{
    Boundary, Kind, Nonce, Options, Placement, Problem, Syntax, Template, TemplateError, Variable,
};
use serde_json::{Value, json};

fn single() -> Options {
    Options { syntax: Syntax::Single }
}

fn fill(text: &str, options: Options, values: &Value) -> Result<String, TemplateError> {
    Template::self_declared(text, options)?.render(values.as_object().expect("an object"))
}

/// `safe_prompt_injection` of the documents: a generator, a blank line, `User question: {user_input}`.
#[test]
fn the_documents_composition() {
    let text = "You are a helpful bot.\n\nUser question: {user_input}";
    let filled = fill(text, single(), &json!({"user_input": "  What are your hours? "})).unwrap();
    assert_eq!(
        filled,
        "You are a helpful bot.\n\nUser question: <user_input name=\"user_input\">\nWhat are your hours?\n</user_input>"
    );
}

/// S11: the published function doubles braces of the input, collapses `{{name}}` of the generator, fails on JSON in it.
#[test]
fn what_the_published_function_breaks_survives() {
    let text = "Reply {\"a\": {\"b\": [1]}} for {{name}}; {user_input}";
    let filled = fill(text, single(), &json!({"user_input": "a {x} {user_input} b"})).unwrap();
    assert_eq!(
        filled,
        "Reply {\"a\": {\"b\": [1]}} for {{name}}; <user_input name=\"user_input\">\na {x} {user_input} b\n</user_input>"
    );
}

#[test]
fn a_text_without_placeholders_stays() {
    for text in [
        "",
        "{",
        "}",
        "{{",
        "}}",
        "{}",
        "{{}}",
        "{{ }}",
        "{{1}}",
        "{{a b}}",
        "{{\"a\":{\"b\":1}}}",
        "{{a\n}}",
        "{{a}",
        "{{{",
        "\\{",
        "\\\\",
        "{\"a\": {\"b\": {}}}",
        "fn f() {{ x }",
        "{{#if}}",
        "{{/if}}",
        "{{a.b}}",
        "é{{ü ü}}",
    ] {
        assert_eq!(fill(text, Options::default(), &json!({})).as_deref(), Ok(text));
    }
}

#[test]
fn placeholders_are_written_in_many_ways() {
    for text in ["{{n:number}}", "{{ n : number }}", "{{n:number // how many}}", "{{n:Number//x}}"] {
        assert_eq!(fill(text, Options::default(), &json!({"n": 7})).as_deref(), Ok("7"), "{text}");
    }
    assert_eq!(fill("{{{n:number}}}", Options::default(), &json!({"n": 7})).as_deref(), Ok("{7}"));
    assert_eq!(fill("{n:number}", single(), &json!({"n": 7})).as_deref(), Ok("7"));
    let template = Template::self_declared("{{n:number // how many}}", Options::default()).unwrap();
    assert_eq!(template.variables()[0].description(), Some("how many"));
}

#[test]
fn backslashes_make_text_of_placeholders() {
    for (text, filled) in [
        ("\\{{n:number}}", "{{n:number}}"),
        ("\\\\{{n:number}}", "\\7"),
        ("\\\\\\{{n:number}} \\n", "\\{{n:number}} \\n"),
        ("a\\b {{n:number}}", "a\\b 7"),
    ] {
        let values = if filled.contains('7') { json!({"n": 7}) } else { json!({}) };
        assert_eq!(fill(text, Options::default(), &values).as_deref(), Ok(filled), "{text}");
    }
}

#[test]
fn values_have_types() {
    let text = "{{s}}{{n}}{{b}}{{e}}{{j}}{{a}}{{o}}";
    let variables = [
        Variable::new("s", Kind::String).placed(Placement::Inline).default_value(json!("x")),
        Variable::new("n", Kind::Number).default_value(json!(1.5)),
        Variable::new("b", Kind::Boolean).default_value(json!(true)),
        Variable::new("e", Kind::one_of(["red", "blue"])).default_value(json!("red")),
        Variable::new("j", Kind::Json).placed(Placement::Inline).default_value(json!(null)),
        Variable::new("a", Kind::Array).placed(Placement::Inline).default_value(json!([1, "}"])),
        Variable::new("o", Kind::Object).placed(Placement::Inline).default_value(json!({"k": {}})),
    ];
    let template = Template::new(text, &variables, Options::default()).unwrap();
    let render = |values: Value| template.render(values.as_object().unwrap());
    assert_eq!(render(json!({})).as_deref(), Ok("x1.5truerednull[1,\"}\"]{\"k\":{}}"));
    for (name, wrong) in [
        ("s", json!(1)),
        ("n", json!("1")),
        ("b", json!("true")),
        ("e", json!(1)),
        ("a", json!({})),
        ("o", json!([])),
    ] {
        let error = render(json!({name: wrong})).unwrap_err();
        assert!(matches!(error.problem, Problem::WrongType(_)), "{name}");
        assert_eq!(error.variable.as_deref(), Some(name));
    }
    assert_eq!(render(json!({"e": "Red"})).unwrap_err().problem, Problem::NotAMember);
}

#[test]
fn errors_name_the_variable_the_place_and_a_name_that_was_meant() {
    let question = [Variable::new("question", Kind::String)];
    let error = Template::new("Hi,\nü {{qestion}}", &question, Options::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 2, column 3: `qestion`: there is no variable of this name; did you mean `question`?"
    );
    let error = fill("a\n{{question}}", Options::default(), &json!({"quesiton": "x"})).unwrap_err();
    assert_eq!((error.problem, error.suggestion.as_deref()), (Problem::UnexpectedValue, Some("question")));
    let error = fill("a\n{{question}}", Options::default(), &json!({})).unwrap_err();
    assert_eq!((error.problem, error.place), (Problem::MissingValue, Some((2, 1))));
    let error = fill("{{n:float}}", Options::default(), &json!({"n": 1})).unwrap_err();
    assert_eq!((error.problem, error.place), (Problem::UnknownType, Some((1, 1))));
    let declared = |variables: &[Variable], text| {
        Template::new(text, variables, Options::default()).unwrap_err().problem
    };
    assert_eq!(declared(&[question[0].clone(), question[0].clone()], ""), Problem::InvalidName);
    assert_eq!(declared(&[Variable::new("a b", Kind::String)], ""), Problem::InvalidName);
    assert_eq!(
        declared(&[Variable::new("n", Kind::Number).default_value(json!("1"))], ""),
        Problem::WrongDefault
    );
    assert_eq!(declared(&question, "{{question:number}}"), Problem::UnknownType);
}

#[test]
fn an_error_holds_no_value() {
    let error = fill("{{n:number}}", Options::default(), &json!({"n": "hunter2"})).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[test]
fn boundaries_can_be_unguessable() {
    let template = Template::self_declared("{{q}}", Options::default()).unwrap();
    let boundary = Boundary::Unguessable(Nonce::from_random([0xAB; 16]));
    let filled = template.render_within(json!({"q": "x"}).as_object().unwrap(), &boundary).unwrap();
    let id = "ab".repeat(16);
    assert_eq!(filled, format!("<user_input name=\"q\" id=\"{id}\">\nx\n</user_input id=\"{id}\">"));
}

#[test]
fn a_value_in_a_sentence_cannot_complete_a_tag() {
    let inline = [Variable::new("a", Kind::String).placed(Placement::Inline)];
    for text in ["<{{a}}>", "</{{a}}", "< / user_{{a}}", "x <user_input {{a}}"] {
        assert_eq!(
            Template::new(text, &inline, Options::default()).unwrap_err().problem,
            Problem::InsideTag,
            "{text}"
        );
    }
    for text in ["<b>{{a}}</b>", "< b {{a}}", "{{a}}", "a < 5 and {{a}}"] {
        assert!(Template::new(text, &inline, Options::default()).is_ok(), "{text}");
    }
}
