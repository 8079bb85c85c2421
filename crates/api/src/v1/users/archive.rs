//! The export of a person as one archive: the JSON document, and a CSV file for each list in it.
//!
//! A ZIP file without compression (APPNOTE.TXT 6.3.10): the few things that such a file needs, in place of a library.

use axum::response::{IntoResponse as _, Response};
use http::header;
use serde_json::{Map, Value};

use super::export::UserExport;
use crate::error::ApiError;

/// What it is asked for by.
pub(super) const MEDIA_TYPE: &str = "application/zip";

/// Lists of the document, and where each is.
const LISTS: [(&str, &[&str]); 5] = [
    ("memberships", &["memberships"]),
    ("keys", &["keys"]),
    ("consents", &["consents"]),
    ("sessions", &["sessions"]),
    ("audit", &["audit", "entries"]),
];

/// The archive as an answer.
pub(super) fn answer(export: &UserExport) -> Result<Response, ApiError> {
    let value = serde_json::to_value(export).map_err(|_| ApiError::internal("an export is not JSON"))?;
    let headers = [
        (header::CONTENT_TYPE, MEDIA_TYPE),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"keywright-export.zip\""),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, zip(&files(&value))).into_response())
}

/// The files by name.
fn files(export: &Value) -> Vec<(String, Vec<u8>)> {
    let pretty = serde_json::to_vec_pretty(export).expect("a value is JSON");
    let mut files = vec![("export.json".to_owned(), pretty)];
    let profile = std::slice::from_ref(&export["profile"]);
    files.push(("profile.csv".to_owned(), csv(profile).into_bytes()));
    for (name, place) in LISTS {
        let list = place.iter().fold(export, |value, step| &value[*step]);
        let rows = list.as_array().map_or(&[][..], Vec::as_slice);
        files.push((format!("{name}.csv"), csv(rows).into_bytes()));
    }
    files
}

/// Objects as lines, their members as columns (RFC 4180). What is no plain value is written as JSON.
fn csv(rows: &[Value]) -> String {
    let Some(Value::Object(first)) = rows.first() else { return String::new() };
    let columns: Vec<&String> = first.keys().collect();
    let line = |cells: Vec<String>| format!("{}\r\n", cells.join(","));
    let mut text = line(columns.iter().map(|column| cell(&Value::String((*column).clone()))).collect());
    let none = Map::new();
    for row in rows {
        let row = row.as_object().unwrap_or(&none);
        text += &line(columns.iter().map(|column| row.get(*column).map_or_else(String::new, cell)).collect());
    }
    text
}

fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    // A spreadsheet would take these for the beginning of a formula.
    let text = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// Version 2.0 of the format is needed to read it.
const VERSION: u16 = 20;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
/// 1 January 1980: the time of the export is in the document.
const DOS_DATE: u16 = (1 << 5) | 1;

fn zip(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let offset = size(bytes.len());
        let mut about = Vec::new();
        for field in [VERSION, FLAGS, 0, 0, DOS_DATE] {
            about.extend(field.to_le_bytes());
        }
        for field in [crc32(content), size(content.len()), size(content.len())] {
            about.extend(field.to_le_bytes());
        }
        about.extend(u16::try_from(name.len()).expect("a short name").to_le_bytes());
        about.extend(0_u16.to_le_bytes());
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&about);
        bytes.extend(name.as_bytes());
        bytes.extend(content);
        directory.extend(b"PK\x01\x02");
        directory.extend(VERSION.to_le_bytes());
        directory.extend(&about);
        // No comment, the first disk, no attributes.
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, length) = (size(bytes.len()), size(directory.len()));
    let count = u16::try_from(files.len()).expect("a few files");
    bytes.extend(directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    bytes.extend([length.to_le_bytes(), start.to_le_bytes()].concat());
    bytes.extend(0_u16.to_le_bytes());
    bytes
}

fn size(length: usize) -> u32 {
    u32::try_from(length).expect("an export is bounded, far below four gigabytes")
}

/// CRC-32 as ZIP has it (reflected polynomial 0xEDB88320).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| {
                if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_published_check_value() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn cells_are_quoted_and_no_formulas() {
        let rows = [json!({"a": "x,\"y\"", "b": null, "c": ["z"]}), json!({"a": "=1+1", "b": 2, "c": true})];
        assert_eq!(csv(&rows), "a,b,c\r\n\"x,\"\"y\"\"\",,\"[\"\"z\"\"]\"\r\n'=1+1,2,true\r\n");
        assert_eq!(csv(&[]), "");
    }

    #[test]
    fn an_archive_that_lists_what_is_in_it() {
        let files = [("a.txt".to_owned(), b"one".to_vec()), ("b.csv".to_owned(), Vec::new())];
        let bytes = zip(&files);
        let end = &bytes[bytes.len() - 22..];
        assert_eq!(&end[..4], b"PK\x05\x06");
        let number = |at: usize| u32::from_le_bytes(end[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(u16::from_le_bytes(end[10..12].try_into().unwrap()), 2);
        let (start, length) = (number(16), number(12));
        assert_eq!(start + length + 22, bytes.len());
        assert_eq!(&bytes[start..start + 4], b"PK\x01\x02");
        assert_eq!(&bytes[start + 46..start + 51], b"a.txt");
        let second = start + 46 + 5;
        let offset = u32::from_le_bytes(bytes[second + 42..second + 46].try_into().unwrap()) as usize;
        assert_eq!((&bytes[offset..offset + 4], &bytes[30..38]), (&b"PK\x03\x04"[..], &b"a.txtone"[..]));
    }
}
