//! Documents: decisions are numbered and named, links lead somewhere.

use std::path::Path;

use crate::tree::{extension, files, root, text};

#[test]
fn decisions_are_numbered_without_gaps() {
    let decisions: Vec<_> = files().into_iter().filter(|name| name.starts_with("docs/adr/")).collect();
    assert!(!decisions.is_empty(), "docs/adr/ is empty");
    for (index, name) in decisions.iter().enumerate() {
        let number = index + 1;
        let start = format!("docs/adr/{number:04}-");
        assert!(
            name.starts_with(&start) && extension(name) == Some("md"),
            "{name} stands where {start}….md should be: numbers have no gaps and are not used twice"
        );
        let title = text(name).lines().next().unwrap_or_default().to_owned();
        assert!(title.starts_with(&format!("# {number}. ")), "{name} begins `{title}`, not `# {number}. …`");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for name in files().iter().filter(|name| extension(name) == Some("md")) {
        for target in links(&text(name)) {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") || path.starts_with("mailto:") || path.starts_with('/')
            {
                continue; // within the page, elsewhere on the network, or a page the server answers
            }
            let directory = root().join(name).parent().map(Path::to_path_buf).unwrap_or_default();
            assert!(directory.join(path).exists(), "{name} links to {target}, which does not exist");
        }
    }
}

#[test]
fn what_is_collected_is_made_of_the_schema() {
    let page = keywright_domain::collected::page();
    if text("docs/what-is-collected.md") != page {
        let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join("what-is-collected.md");
        std::fs::write(&new, page).unwrap();
        panic!("docs/what-is-collected.md is stale: look at {} and put it there", new.display());
    }
}

#[test]
fn data_protection_says_what_is_organisational() {
    let guide = text("docs/guides/data-protection.md");
    for said in [
        "## GDPR",
        "## CCPA",
        "## HIPAA",
        "makes nobody compliant",
        "asking counsel",
        "sells and shares no data",
        "business associate agreements | organisational",
        "breach notification | organisational",
        "../what-is-collected.md",
    ] {
        assert!(guide.contains(said), "the guide does not say: {said}");
    }
}

#[test]
fn the_guide_of_risks_names_each() {
    let guide = text("docs/guides/owasp.md");
    for said in [
        "| Prompt injection |",
        "| Sensitive data in prompts and answers |",
        "| Broken authentication |",
        "| Abuse, floods |",
        "| Too much access |",
        "## No personal data in prompts",
        "## Limits in place of Flask-Limiter",
        "key_limits = [\"hour=100/3600s\", \"minute=10/60s\"]",
    ] {
        assert!(guide.contains(said), "the guide does not say: {said}");
    }
}

/// The targets of `[text](target)`.
fn links(markdown: &str) -> Vec<String> {
    let mut prose = String::new();
    let mut fenced = false;
    for line in markdown.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if !fenced {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).collect()
}

#[test]
fn links_are_found() {
    assert_eq!(links("a [b](c.md#d) `x` [e](f)\n```\n[g](h)\n```\n[i](/j)"), ["c.md#d", "f", "/j"]);
}
