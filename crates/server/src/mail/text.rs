//! What letters say: in plain text, and the same as plain HTML.

/// One part of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A paragraph.
    Say(String),
    /// A link to follow, on a line of its own.
    Link(String),
}

/// A letter without its addressee.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Text {
    /// The subject.
    pub(crate) subject: String,
    /// What it says.
    pub(crate) parts: Vec<Part>,
}

/// The end of every letter.
const WHY: &str =
    "You get this letter because somebody used your address with Keywright. It takes no answers.";

impl Text {
    /// As plain text.
    pub(crate) fn plain(&self) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Say(words) => text.push_str(words),
                Part::Link(link) => {
                    text.push_str("  ");
                    text.push_str(link);
                }
            }
            text.push_str("\n\n");
        }
        text + "-- \n" + WHY + "\n"
    }

    /// As HTML without images, styles or scripts: nothing is fetched by whoever reads it.
    pub(crate) fn html(&self) -> String {
        let mut text = String::from("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>");
        push_escaped(&mut text, &self.subject);
        text.push_str("</title>\n");
        for part in &self.parts {
            match part {
                Part::Say(words) => {
                    text.push_str("<p>");
                    push_escaped(&mut text, words);
                }
                Part::Link(link) => {
                    text.push_str("<p><a href=\"");
                    push_escaped(&mut text, link);
                    text.push_str("\">");
                    push_escaped(&mut text, link);
                    text.push_str("</a>");
                }
            }
            text.push_str("</p>\n");
        }
        text.push_str("<hr>\n<p><small>");
        push_escaped(&mut text, WHY);
        text + "</small></p>\n</html>\n"
    }
}

fn push_escaped(text: &mut String, words: &str) {
    for character in words.chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&#39;"),
            other => text.push(other),
        }
    }
}

/// The letter of `keywright mail test`.
pub(crate) fn test_letter(base_url: Option<&str>) -> Text {
    let mut parts = vec![
        Part::Say("This is the test letter of keywright mail test.".to_owned()),
        Part::Say("Invitations, recovery links and notices will reach you the same way.".to_owned()),
    ];
    if let Some(url) = base_url {
        parts.push(Part::Say("Links in them begin with:".to_owned()));
        parts.push(Part::Link(url.to_owned()));
    }
    Text { subject: "Keywright can send letters".to_owned(), parts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same_and_nothing_breaks_out() {
        let text = Text {
            subject: "Join <b>Acme</b> & \"Co\"".to_owned(),
            parts: vec![Part::Say("O'Neil <o@x> invites".to_owned()), Part::Link("https://a/i#t".to_owned())],
        };
        assert_eq!(
            text.plain(),
            "O'Neil <o@x> invites\n\n  https://a/i#t\n\n-- \nYou get this letter because somebody used your address with \
             Keywright. It takes no answers.\n"
        );
        let html = text.html();
        assert!(html.contains("<title>Join &lt;b&gt;Acme&lt;/b&gt; &amp; &quot;Co&quot;</title>"), "{html}");
        assert!(html.contains("<p>O&#39;Neil &lt;o@x&gt; invites</p>"), "{html}");
        assert!(html.contains("<a href=\"https://a/i#t\">https://a/i#t</a>"), "{html}");
    }

    #[test]
    fn the_test_letter_tells_where_links_lead() {
        assert!(test_letter(Some("https://keys.example")).plain().contains("  https://keys.example\n"));
        assert!(!test_letter(None).plain().contains("http"));
    }
}
