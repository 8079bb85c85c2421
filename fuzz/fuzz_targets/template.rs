//! Reading never panics, and a value never changes the number of boundaries.
#![no_main]

use keywright_template::{Options, Template};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    drop(Template::self_declared(&text, Options::default()));
    let template = Template::self_declared("a {{x}} b", Options::default()).expect("a good template");
    let values = serde_json::json!({"x": text});
    if let Ok(filled) = template.render(values.as_object().expect("an object")) {
        let plain = filled.to_lowercase();
        assert_eq!((plain.matches("<user_input").count(), plain.matches("</user_input").count()), (1, 1));
        assert!(filled.starts_with("a <user_input name=\"x\">\n") && filled.ends_with("\n</user_input> b"));
    }
});
