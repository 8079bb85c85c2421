//! What other vendors' credentials begin with, so that a mix-up of two variables can be named.

use crate::checksum::is_base62;

/// Longer prefixes before the shorter ones they begin with.
const PREFIXES: &[(&str, &str)] = &[
    ("sk-ant-", "Anthropic"),
    ("sk-or-", "OpenRouter"),
    ("sk-lf-", "Langfuse"),
    ("pk-lf-", "Langfuse"),
    ("sk-", "OpenAI"),
    ("pk_live_", "Stripe"),
    ("pk_test_", "Stripe"),
    ("rk_live_", "Stripe"),
    ("rk_test_", "Stripe"),
    ("whsec_", "Stripe"),
    ("sk_org_", "Stripe"),
    ("ghp_", "GitHub"),
    ("gho_", "GitHub"),
    ("ghu_", "GitHub"),
    ("ghs_", "GitHub"),
    ("ghr_", "GitHub"),
    ("github_pat_", "GitHub"),
    ("glpat-", "GitLab"),
    ("gldt-", "GitLab"),
    ("AKIA", "AWS"),
    ("ASIA", "AWS"),
    ("xoxb-", "Slack"),
    ("xoxp-", "Slack"),
    ("xoxa-", "Slack"),
    ("xoxe", "Slack"),
    ("xapp-", "Slack"),
    ("AIza", "Google"),
    ("ya29.", "Google"),
    ("GOCSPX-", "Google"),
    ("hf_", "Hugging Face"),
    ("gsk_", "Groq"),
    ("xai-", "xAI"),
    ("pplx-", "Perplexity"),
    ("r8_", "Replicate"),
    ("npm_", "npm"),
    ("pypi-", "PyPI"),
    ("rubygems_", "RubyGems"),
    ("dckr_pat_", "Docker"),
    ("SG.", "SendGrid"),
    ("dop_v1_", "DigitalOcean"),
    ("shpat_", "Shopify"),
    ("shpss_", "Shopify"),
    ("lin_api_", "Linear"),
    ("ntn_", "Notion"),
    ("figd_", "Figma"),
    ("glsa_", "Grafana"),
    ("glc_", "Grafana"),
    ("hvs.", "HashiCorp Vault"),
    ("phc_", "PostHog"),
    ("phx_", "PostHog"),
    ("sntrys_", "Sentry"),
    ("sq0", "Square"),
    ("eyJ", "JSON Web Token"),
    ("-----BEGIN", "PEM file"),
];

/// What other vendors' credentials begin with, and whose they are: prefix and vendor, longer prefixes before the shorter
/// ones they begin with. For tools that look for credentials of every kind.
pub const fn vendor_prefixes() -> &'static [(&'static str, &'static str)] {
    PREFIXES
}

/// The vendor whose credentials begin like this text.
pub(crate) fn by_prefix(text: &[u8]) -> Option<&'static str> {
    if text.strip_prefix(b"sk_").is_some_and(|rest| rest.len() == 48 && is_lower_hex(rest)) {
        return Some("ElevenLabs");
    }
    PREFIXES.iter().find(|(prefix, _)| text.starts_with(prefix.as_bytes())).map(|(_, vendor)| *vendor)
}

/// The vendor that gives this shape to what follows `sk_live_` or `sk_test_`, a prefix several vendors share. Only shapes
/// that a damaged key of ours practically never has.
pub(crate) fn by_body(body: &[u8]) -> Option<&'static str> {
    if body.len() > 60 && body.starts_with(b"51") && body.iter().all(|byte| is_base62(*byte)) {
        return Some("Stripe");
    }
    (body.len() == 40 && is_lower_hex(body)).then_some("Paystack")
}

fn is_lower_hex(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_prefix_is_hidden_by_an_earlier_one() {
        for (index, (later, _)) in PREFIXES.iter().enumerate() {
            for (earlier, _) in &PREFIXES[..index] {
                assert!(!later.starts_with(earlier), "{later} is never reached because of {earlier}");
            }
        }
    }

    #[test]
    fn no_prefix_is_one_of_ours() {
        for (prefix, _) in PREFIXES {
            assert_eq!(crate::KeyKind::strip(format!("{prefix}x").as_bytes()), None, "{prefix}");
        }
    }

    #[test]
    fn shapes_behind_the_shared_prefix() {
        assert_eq!(by_body(&[b"51".as_slice(), &[b'H'; 97]].concat()), Some("Stripe"));
        assert_eq!(by_body(&[b"52".as_slice(), &[b'H'; 97]].concat()), None);
        assert_eq!(by_body(&[b'a'; 40]), Some("Paystack"));
        assert_eq!(by_body(&[b'g'; 40]), None);
        assert_eq!(by_body(&[b'a'; 41]), None);
        assert_eq!(by_prefix(&[b"sk_".as_slice(), &[b'7'; 48]].concat()), Some("ElevenLabs"));
    }
}
