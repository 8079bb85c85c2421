//! Metrics and health.

use serde_json::json;

use crate::process::{Dev, directory, eventually};

#[test]
fn requests_engine_and_usage_are_counted_without_naming_keys() {
    let directory = directory();
    let dev = Dev::start(directory.path());
    let (owner, admin) = (dev.owner(), dev.admin());
    let (id, secret) = owner.create("counted");
    for _ in 0..5 {
        owner.verify(&secret);
    }
    owner.get("/no/such/path?key=1");
    owner.post(&format!("/v1/workspaces/acme/keys/{id}/revoke"), &json!({"reason": "done"}), 200);
    let text = admin.get_text("/metrics");
    for expected in [
        "keywright_http_requests_total{method=\"POST\",route=\"/v1/keys/verify\",status=\"200\"} 5",
        "keywright_http_requests_total{method=\"POST\",route=\"/v1/workspaces/{slug}/keys/{id}/revoke\",status=\"200\"} 1",
        "route=\"none\",status=\"404\"} 1",
        "keywright_verifications_total{code=\"valid\"} 5",
        "keywright_engine_keys 3",
        "keywright_ready 1",
        "keywright_build_info{version=",
        "le=\"+Inf\"",
    ] {
        assert!(text.contains(expected), "{expected} in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    assert!(!text.contains(&id) && !text.contains("key_") && !text.contains(&secret), "{text}");
    eventually("usage is flushed", || {
        let text = admin.get_text("/metrics");
        text.contains("keywright_usage_flushed_total{code=\"valid\"} 1").then_some(())
    });
    dev.stop();
}

#[test]
fn health_is_told_on_both_listeners() {
    let directory = directory();
    let dev = Dev::start(directory.path());
    for client in [dev.owner(), dev.admin()] {
        assert_eq!(client.get("/healthz"), (200, json!({"status": "alive"})));
        assert_eq!(client.get("/readyz"), (200, json!({"status": "ready", "reasons": [], "degraded": []})));
    }
    // Metrics are for the operator's own machinery only.
    assert_eq!(dev.owner().get("/metrics").0, 404);
    assert_eq!(dev.admin().get("/v1/workspaces").0, 404);
    dev.stop();
}
