//! Differences and steps, without a server.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    diff::{Action, Phase, PresentKeys, Prune, Step, steps},
    file::parse,
    present::Present,
};

fn policy() -> Value {
    json!({
        "max_key_days": null, "rotation_mode": "warn", "overlap_seconds": 172_800, "idle_days": null,
        "idle_action": "flag", "allowed_ips": ["10.0.0.1", "192.0.2.0/24"], "allowed_permissions": null,
        "default_permissions": ["prompts:read", "prompts:list"], "max_keys": 10, "self_service": true,
        "lease_seconds": 30, "atomic_revocation": false,
        "rotation": {"development": {"months": 6}, "staging": {"months": 3}, "production": {"days": 90}, "ci": null},
    })
}

fn present() -> Present {
    let acme = json!({
        "id": "ws_1", "slug": "acme", "name": "Acme", "plan": "standard", "suspended": false, "deleted": false,
        "former_slugs": ["old-acme"], "policy": policy(),
    });
    let window = json!({"name": "minute", "limit": 5, "window_seconds": 60, "algorithm": "sliding"});
    let plan =
        json!({"name": "gold", "description": "More.", "key_limits": [window], "workspace_limits": []});
    Present {
        permissions: BTreeMap::from([("a:b".to_owned(), json!({"name": "a:b", "description": "A."}))]),
        plans: BTreeMap::from([("gold".to_owned(), plan)]),
        workspaces: BTreeMap::from([("acme".to_owned(), acme)]),
        ..Present::default()
    }
}

fn of(text: &str, keys: &PresentKeys, prune: Prune) -> Vec<Step> {
    steps(&parse(text, "x").unwrap(), &present(), keys, prune).unwrap()
}

fn shown(steps: &[Step]) -> Vec<String> {
    steps.iter().map(|step| format!("{} {}", step.action.sign(), step.what)).collect()
}

#[test]
fn what_is_as_it_should_be_is_left_alone() {
    let text = r#"
        [permissions]
        "a:b" = "A."
        [plans.gold]
        key_limits = ["minute=5/60s"]
        [workspaces.old-acme]
        name = "Acme"
        [workspaces.old-acme.policy]
        max_key_days = "none"
        allowed_ips = ["192.0.2.0/24", "10.0.0.1/32"]
        allowed_permissions = "all"
        default_permissions = ["prompts:list", "prompts:read"]
        rotation = { ci = "none", production = "90d" }
    "#;
    assert_eq!(shown(&of(text, &PresentKeys::new(), Prune::No)), [""; 0]);
    assert_eq!(shown(&of("", &PresentKeys::new(), Prune::No)), [""; 0], "an empty file removes nothing");
}

#[test]
fn others_build_on_what_comes_first_and_what_takes_away_comes_last() {
    let text = r#"
        [permissions]
        "c:d" = ""
        [plans.gold]
        key_limits = ["minute=4/60s"]
        [plans.silver]
        [workspaces.acme]
        name = "Acme Inc."
        suspended = true
        [workspaces.acme.policy]
        max_key_days = 30
        idle_days = 90
        [workspaces.acme.keys.web]
        environment = "production"
        [workspaces.beta]
        plan = "silver"
        suspended = true
    "#;
    let steps = of(text, &PresentKeys::new(), Prune::No);
    assert_eq!(
        shown(&steps),
        [
            "+ permission c:d",
            "+ plan silver",
            "+ workspace beta",
            "~ workspace acme",
            "+ key acme/web",
            "~ plan gold",
            "~ workspace acme",
            "~ workspace beta",
        ]
    );
    assert_eq!(steps[3].change.body, Some(json!({"name": "Acme Inc.", "policy": {"idle_days": 90}})));
    assert_eq!(steps[6].change.body, Some(json!({"suspended": true, "policy": {"max_key_days": 30}})));
    assert_eq!(steps[2].change.body, Some(json!({"slug": "beta", "plan": "silver"})));
    let plan = json!({"description": "More.", "key_limits": [
        {"name": "minute", "limit": 4, "window_seconds": 60, "algorithm": "sliding"}], "workspace_limits": []});
    assert_eq!(steps[5].change.body, Some(plan), "what is not named of a plan stays");
}

#[test]
fn a_policy_that_gives_is_not_held_up() {
    let phase = |policy: &str| {
        let text = format!("[workspaces.acme.policy]\n{policy}");
        of(&text, &PresentKeys::new(), Prune::No).iter().map(|step| step.phase).collect::<Vec<_>>()
    };
    for giving in
        ["max_keys = 5", "allowed_ips = []", "idle_days = 3", "lease_seconds = 300", "self_service = false"]
    {
        assert_eq!(phase(giving), [Phase::Giving], "{giving}");
    }
    for taking in [
        "max_key_days = 400",
        "allowed_ips = [\"10.0.0.0/8\"]",
        "allowed_permissions = []",
        "rotation_mode = \"enforce\"",
        "rotation = { ci = \"1d\" }",
        "lease_seconds = 3",
    ] {
        assert_eq!(phase(taking), [Phase::Taking], "{taking}");
    }
}

fn keys() -> PresentKeys {
    let key = |id: &str, status: &str| {
        json!({
            "id": id, "environment": "production", "status": status, "purpose": null, "permissions": ["prompts:read"],
            "expires_at": null, "limits": null, "allowed_ips": [], "external_id": null, "metadata": {"team": "web"},
        })
    };
    let of_acme = BTreeMap::from([
        ("web".to_owned(), key("key_1", "active")),
        ("off".to_owned(), key("key_2", "disabled")),
        ("stray".to_owned(), key("key_3", "active")),
    ]);
    PresentKeys::from([("acme".to_owned(), of_acme)])
}

const WEB: &str = "[workspaces.acme.keys.web]\nenvironment = \"production\"\n";

#[test]
fn keys_are_found_by_name() {
    let same = format!(
        "{WEB}permissions = [\"prompts:read\"]\nlimits = \"plan\"\nmetadata = {{ team = \"web\" }}\n"
    );
    assert_eq!(shown(&of(&same, &keys(), Prune::No)), [""; 0]);
    let changed =
        of(&format!("{WEB}purpose = \"Shop\"\nexpires_at = \"2030-01-01T00:00:00Z\""), &keys(), Prune::No);
    assert_eq!(shown(&changed), ["~ key acme/web"]);
    assert_eq!(changed[0].change.path, "/v1/workspaces/acme/keys/key_1");
    let body = json!({"purpose": "Shop", "expires_at": "2030-01-01T00:00:00.000Z"});
    assert_eq!((changed[0].change.body.clone(), changed[0].phase), (Some(body), Phase::Taking));
    let on =
        of("[workspaces.acme.keys.off]\nenvironment = \"production\"\ndisabled = false", &keys(), Prune::No);
    assert_eq!(
        (on[0].phase, on[0].change.path.as_str()),
        (Phase::Giving, "/v1/workspaces/acme/keys/key_2/enable")
    );
    let elsewhere = parse("[workspaces.acme.keys.web]\nenvironment = \"ci\"", "x").unwrap();
    let refused = steps(&elsewhere, &present(), &keys(), Prune::No).unwrap_err().to_string();
    assert!(refused.contains("never changes"), "{refused}");
}

#[test]
fn nothing_is_removed_unless_it_is_asked_for() {
    assert_eq!(shown(&of(WEB, &keys(), Prune::No)), [""; 0]);
    let pruned = of(WEB, &keys(), Prune::Yes);
    assert_eq!(shown(&pruned), ["- key acme/off", "- key acme/stray", "- plan gold"]);
    assert!(pruned.iter().all(|step| step.action == Action::Remove));
    let all = of("[plans.gold]\nkey_limits = [\"minute=5/60s\"]", &PresentKeys::new(), Prune::Yes);
    assert_eq!(shown(&all), ["- workspace acme"]);
    assert_eq!(all[0].change.path, "/v1/workspaces/acme?confirm=acme");
}

#[test]
fn a_deleted_workspace_is_not_brought_back_by_accident() {
    let mut present = present();
    present.workspaces.get_mut("acme").unwrap()["deleted"] = json!(true);
    let wanted = parse("[workspaces.acme]\nname = \"Acme\"", "x").unwrap();
    let refused = steps(&wanted, &present, &PresentKeys::new(), Prune::No).unwrap_err().to_string();
    assert!(refused.contains("keywright workspaces restore acme"), "{refused}");
}

#[test]
fn members_and_service_accounts() {
    let mut present = present();
    let member = json!({"id": "usr_1", "email": "Ada@acme.example", "role": "admin", "permissions": null});
    let account = json!({
        "id": "sa_1", "email": "api@acme.example", "name": "api", "status": "active", "role": "member",
        "permissions": ["prompts:read"], "purpose": null, "owning_team": "platform",
    });
    let of = |name: &str, one: &Value| BTreeMap::from([(name.to_owned(), one.clone())]);
    present.members.insert("acme".to_owned(), of("ada@acme.example", &member));
    present.service_accounts.insert("acme".to_owned(), of("api@acme.example", &account));
    let of = |text: &str, prune| steps(&parse(text, "x").unwrap(), &present, &PresentKeys::new(), prune);
    let same = r#"
        [workspaces.acme.members."ada@acme.example"]
        role = "admin"
        permissions = "all"
        [workspaces.acme.service_accounts."API@acme.example"]
        name = "api"
        permissions = ["prompts:read"]
        disabled = false
    "#;
    assert!(of(same, Prune::No).unwrap().is_empty());
    let changed = r#"
        [workspaces.acme.members."ada@acme.example"]
        role = "viewer"
        [workspaces.acme.service_accounts."api@acme.example"]
        name = "interface"
        disabled = true
        [workspaces.acme.service_accounts."new@acme.example"]
        name = "new"
        disabled = true
        [workspaces.acme.keys.web]
        environment = "ci"
        service_account = "new@acme.example"
    "#;
    let steps = of(changed, Prune::No).unwrap();
    assert_eq!(
        shown(&steps),
        [
            "+ service account acme/new@acme.example",
            "~ service account acme/api@acme.example",
            "+ key acme/web",
            "~ service account acme/api@acme.example",
            "~ member acme/ada@acme.example",
        ]
    );
    assert!(steps[0].turns_off);
    let owner = steps[2].account.as_ref().unwrap();
    assert_eq!((owner.0, &*owner.2), ("service_account", "new@acme.example"));
    assert_eq!(steps[4].change.body, Some(json!({"role": "viewer"})));
    let none = "[workspaces.acme.members]\n[workspaces.acme.service_accounts]\n";
    assert!(of(none, Prune::No).unwrap().is_empty());
    let removed = of(none, Prune::Yes).unwrap();
    assert_eq!(
        shown(&removed),
        ["- member acme/ada@acme.example", "- service account acme/api@acme.example", "- plan gold"]
    );
}

#[test]
fn whoever_is_not_there_is_invited() {
    let mut present = present();
    let of = |present: &Present, text: &str, prune| {
        steps(&parse(text, "x").unwrap(), present, &PresentKeys::new(), prune).unwrap()
    };
    let file = r#"
        [workspaces.acme.members."Ada@acme.example"]
        role = "admin"
        permissions = "all"
    "#;
    let invite = of(&present, file, Prune::No);
    assert_eq!(shown(&invite), ["+ invitation acme/Ada@acme.example"]);
    let body = json!({"invitations": [{"role": "admin", "email": "Ada@acme.example"}]});
    assert_eq!(invite[0].change.body, Some(body));
    let mut waiting = |role: &str, is_over: bool| {
        let one = json!({
            "id": "inv_1", "email": "ada@acme.example", "role": role, "permissions": null, "is_over": is_over,
        });
        let waiting = BTreeMap::from([("ada@acme.example".to_owned(), one)]);
        present.invitations.insert("acme".to_owned(), waiting);
        of(&present, file, Prune::No)
    };
    assert!(waiting("admin", false).is_empty(), "an invitation that waits is enough");
    let again = waiting("admin", true);
    assert_eq!(shown(&again), ["~ invitation acme/Ada@acme.example"]);
    assert!(again[0].change.path.ends_with("/invitations/inv_1/resend"), "{}", again[0].change.path);
    let other = waiting("viewer", false);
    let both = ["- invitation acme/Ada@acme.example", "+ invitation acme/Ada@acme.example"];
    assert_eq!(shown(&other), both);
    let removed = of(&present, "[workspaces.acme.members]\n", Prune::Yes);
    assert_eq!(shown(&removed), ["- invitation acme/ada@acme.example", "- plan gold"]);
    assert!(of(&present, "[workspaces.acme.members]\n", Prune::No).is_empty());
}
