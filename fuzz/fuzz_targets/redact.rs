//! Findings are in order and between characters, and a stream gives the same however it is cut.
#![no_main]

use std::io::Write;

use keywright_redaction::{RedactWriter, Redactor};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((first, data)) = data.split_first() else {
        return;
    };
    let redactor = Redactor::new();
    let text = String::from_utf8_lossy(data);
    let mut reached = 0;
    for finding in redactor.findings(&text) {
        assert!(finding.range.start >= reached && text.get(finding.range.clone()).is_some());
        reached = finding.range.end;
    }
    let stream = |size: usize| {
        let mut writer = RedactWriter::new(Vec::new(), Redactor::new());
        for piece in data.chunks(size) {
            writer.write_all(piece).expect("a vector takes everything");
        }
        writer.finish().expect("a vector takes everything")
    };
    assert_eq!(stream(usize::from(*first).max(1)), stream(data.len().max(1)));
});
