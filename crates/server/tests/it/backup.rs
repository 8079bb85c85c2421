//! Usage that was counted before a backup is in it, whether a server runs or not.

use std::{fs, path::Path};

use rustix::process::Signal;

use crate::{
    client::Client,
    nodes::free_address,
    process::{Dev, directory, eventually, keywright, run, said},
};

fn verify(dev: &Dev, secret: &str, times: usize) {
    let owner = dev.owner();
    for _ in 0..times {
        assert_eq!(owner.verify(secret), "valid");
    }
}

fn backup(directory: &Path, name: &str) {
    let (data, to) = (directory.join("data"), directory.join(name));
    let output =
        run(&["backup", "--data", data.to_str().unwrap(), "--to", to.to_str().unwrap(), "--include-keys"]);
    assert!(output.status.success(), "{}", said(&output));
}

/// Restores a backup, serves it, and asks how often the key was used.
fn used(directory: &Path, name: &str, operator: &str, key: &str) -> u64 {
    let (from, to) = (directory.join(name), directory.join(format!("{name}-restored")));
    let output = run(&["restore", "--from", from.to_str().unwrap(), "--data", to.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    let (config, address) = (directory.join(format!("{name}.toml")), free_address());
    fs::write(
        &config,
        format!("listen = {address:?}\nadmin_listen = \"off\"\ndata_dir = '{}'\n", to.display()),
    )
    .unwrap();
    let mut child = keywright().args(["serve", "--config"]).arg(&config).spawn().unwrap();
    let client = Client::new(format!("http://{address}"), operator.to_owned());
    eventually("it is ready", || client.try_get("/readyz").ok().filter(|(status, _)| *status == 200));
    let (_, usage) = client.get(&format!("/v1/workspaces/acme/keys/{key}/usage"));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    usage["total"].as_u64().unwrap()
}

#[test]
fn usage_that_waits_to_be_written_is_in_a_backup() {
    let directory = directory();
    let dev = Dev::start(directory.path());
    let (operator, owner) = (dev.text("/operator_key"), dev.owner());
    let (key, secret) = owner.create("counted");
    verify(&dev, &secret, 7);
    backup(directory.path(), "served.db");
    verify(&dev, &secret, 5);
    dev.kill();
    backup(directory.path(), "killed.db");
    assert!(directory.path().join("killed.db.usage").is_file());
    assert_eq!(used(directory.path(), "served.db", &operator, &key), 7);
    assert_eq!(used(directory.path(), "killed.db", &operator, &key), 12);
    // What the server itself does with it is not disturbed, and nothing is added twice.
    let dev = Dev::start(directory.path());
    let counted = eventually("all usage is flushed", || {
        let (_, usage) = dev.owner().get(&format!("/v1/workspaces/acme/keys/{key}/usage"));
        usage["total"].as_u64().filter(|total| *total >= 12)
    });
    assert_eq!(counted, 12);
    dev.stop();
}

#[test]
fn damaged_usage_is_not_restored() {
    let directory = directory();
    let dev = Dev::start(directory.path());
    let (_, secret) = dev.owner().create("counted");
    verify(&dev, &secret, 3);
    dev.kill();
    backup(directory.path(), "b.db");
    let usage = directory.path().join("b.db.usage");
    let mut bytes = fs::read(&usage).unwrap();
    bytes[17] ^= 1;
    fs::write(&usage, bytes).unwrap();
    let (from, to) = (directory.path().join("b.db"), directory.path().join("new"));
    let output = run(&["restore", "--from", from.to_str().unwrap(), "--data", to.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("b.db.usage is not what was backed up"), "{}", said(&output));
    assert!(!to.exists());
}
