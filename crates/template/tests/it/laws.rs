//! What holds whatever a user writes.

use keywright_template::{Boundary, Kind, Nonce, Options, Placement, Syntax, Template, Variable};
use proptest::prelude::*;
use serde_json::json;

/// What somebody would write who wants to break out, in pieces that come together in any order.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "\\PC{0,8}",
        "[ -~\n\t]{0,8}",
        prop::sample::select(vec![
            "<",
            "</",
            "＜",
            "<user_input",
            "</user_input>",
            "</USER_",
            "input",
            ">",
            "user_",
            "/",
            "\u{200B}",
            "\n",
            " ",
            "{{a}}",
            "{{b}}",
            "{a}",
            "{{",
            "}}",
            "\\",
            "name=\"a\"",
            "&lt;",
            "id=\"abababab",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

/// Boundaries as a reader would see them: without white space, hyphens and what is invisible, in lower case.
fn boundaries(text: &str) -> (usize, usize) {
    let seen: String = text
        .chars()
        .filter(|character| {
            !character.is_whitespace()
                && !matches!(character, '_' | '-' | '\u{200B}' | '\\' | '.' | '|' | '"' | '\'')
        })
        .map(|character| if character == '＜' { '<' } else { character.to_ascii_lowercase() })
        .collect();
    (seen.matches("<userinput").count(), seen.matches("</userinput").count())
}

const TEXT: &str = "x {\"k\": {\"l\": 1}} {{a}} y {{b}}{{c}} </b> {{a}}\n{z}";

fn template() -> Template {
    let variables = [
        Variable::new("a", Kind::String),
        Variable::new("b", Kind::String).placed(Placement::Inline),
        Variable::new("c", Kind::Json),
    ];
    Template::new(TEXT, &variables, Options::default()).expect("a good template")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn the_number_of_boundaries_does_not_depend_on_values(a in hostile(), b in hostile(), c in hostile()) {
        let values = |a: &str, b: &str, c: &str| json!({"a": a, "b": b, "c": {"k": c}}).as_object().cloned().expect("an object");
        let empty = boundaries(&template().render(&values("", "", "")).unwrap());
        prop_assert_eq!(empty, (3, 3));
        let filled = template().render(&values(&a, &b, &c)).unwrap();
        prop_assert_eq!(boundaries(&filled), empty, "{}", filled);
    }

    #[test]
    fn everything_outside_of_values_stays(a in hostile(), b in "[a-z]{0,9}", nonce: [u8; 16]) {
        let boundary = Boundary::Unguessable(Nonce::from_random(nonce));
        let values = json!({"a": a, "b": b, "c": []});
        let filled = template().render_within(values.as_object().unwrap(), &boundary).unwrap();
        let id = format!("{:032x}", u128::from_be_bytes(nonce));
        let close = format!("\n</user_input id=\"{id}\">");
        let open = |name: &str| format!("<user_input name=\"{name}\" id=\"{id}\">\n");
        let value = filled.strip_prefix(&format!("x {{\"k\": {{\"l\": 1}}}} {}", open("a"))).expect("begins like the template");
        let (value, _) = value.split_once(&close).expect("is closed");
        let a = format!("{}{value}{close}", open("a"));
        let c = format!("{}[]{close}", open("c"));
        prop_assert_eq!(filled, format!("x {{\"k\": {{\"l\": 1}}}} {a} y {b}{c} </b> {a}\n{{z}}"));
    }

    #[test]
    fn harmless_values_stay(a in "[a-zA-Z0-9{}\\[\\]\"':,;.!?()&/=+*%$#@ -]{0,60}") {
        let filled = Template::self_declared("{{a}}", Options::default()).unwrap().render(json!({"a": a}).as_object().unwrap()).unwrap();
        prop_assert_eq!(filled, format!("<user_input name=\"a\">\n{}\n</user_input>", a.trim()));
    }

    /// JSON in a template survives, however deep; its strings hold no placeholders.
    #[test]
    fn json_survives(value in json_value(), pretty: bool, single: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
        let syntax = if single { Syntax::Single } else { Syntax::Double };
        let template = Template::new(&text, &[], Options { syntax }).unwrap();
        prop_assert_eq!(template.render(&serde_json::Map::new()).unwrap(), text);
    }

    #[test]
    fn reading_never_panics(text in hostile(), single: bool) {
        let syntax = if single { Syntax::Single } else { Syntax::Double };
        let _ = Template::self_declared(&text, Options { syntax }).map_err(|error| error.to_string());
    }
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        // No name comes after a brace: `"{a:"` before the brace that closes an object would be a placeholder, as `{a:"}`.
        "(\\{{0,3}[:\"\\\\]|[a-z ]){0,6}\\{?".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map("[a-z]{0,4}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}
