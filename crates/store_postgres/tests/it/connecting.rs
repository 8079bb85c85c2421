//! Connecting, and reasons not to.

use std::sync::Arc;

use keywright_domain::{
    permission::Catalogue,
    store::{Store as _, StoreError},
};
use keywright_store_postgres::{ConnectError, PostgresOptions, PostgresStore, Promise, Unflushed};
use keywright_testkit::{Installation, PostgresServer};
use rcgen::{CertificateParams, CertifiedIssuer, Issuer, KeyPair};
use tempfile::TempDir;

use crate::{
    proxy::{Fault, Proxy},
    server::{own_schema, shared},
};

async fn refusal(options: PostgresOptions) -> ConnectError {
    PostgresStore::connect(options, keywright_testkit::vault())
        .await
        .err()
        .expect("the store must not connect")
}

#[tokio::test]
async fn nobody_listens() {
    let mut options = own_schema(shared());
    options.url = PostgresOptions::new(shared().url_through(keywright_testkit::free_port())).url;
    let error = refusal(options).await;
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error}");
    assert!(error.to_string().contains("check that it runs"), "{error}");
    assert!(!error.to_string().contains(shared().password()), "{error}");
}

#[tokio::test]
async fn a_wrong_password_and_a_wrong_database() {
    let wrong = shared().url().replace(shared().password(), "wrong-password");
    let error = refusal(PostgresOptions::new(wrong)).await;
    assert!(matches!(error, ConnectError::Credentials(_)), "{error}");
    assert!(!error.to_string().contains("wrong-password"), "{error}");
    let elsewhere =
        shared().url().replace("/postgres", "/elsewhere").replacen("/elsewhere:", "/postgres:", 1);
    let error = refusal(PostgresOptions::new(elsewhere)).await;
    assert!(matches!(error, ConnectError::NoDatabase(_)), "{error}");
}

#[tokio::test]
async fn options_that_contradict_themselves() {
    let mut options = own_schema(shared());
    options.schema = "Robert'); DROP".to_owned();
    assert!(matches!(refusal(options).await, ConnectError::Options(_)));
    let error = refusal(PostgresOptions::new("postgres://me:hunter2@localhost:port/")).await;
    assert!(matches!(error, ConnectError::Options(_)) && !error.to_string().contains("hunter2"), "{error}");
    let error = refusal(PostgresOptions::new(shared().url() + "?sslmode=require")).await;
    assert!(matches!(error, ConnectError::Options(_)), "{error}");
}

#[tokio::test]
async fn a_schema_of_another_version_or_program_is_refused() {
    let options = own_schema(shared());
    let schema = options.schema.clone();
    PostgresStore::connect(options.clone(), keywright_testkit::vault()).await.unwrap().close().await.unwrap();
    shared().sql(&format!("INSERT INTO {schema}.migrations VALUES (99, '0099_later', 'x')"));
    let error = refusal(options.clone()).await;
    assert!(matches!(error, ConnectError::Newer { found, known } if found == known + 1), "{error}");
    shared().sql(&format!(
        "DELETE FROM {schema}.migrations WHERE number = 99; UPDATE {schema}.migrations SET sha256 = 'x'"
    ));
    let error = refusal(options.clone()).await;
    assert!(matches!(&error, ConnectError::MigrationChanged(name) if name == "0001_init"), "{error}");
    shared()
        .sql(&format!("DROP SCHEMA {schema} CASCADE; CREATE SCHEMA {schema}; CREATE TABLE {schema}.t ()"));
    let error = refusal(options).await;
    assert!(matches!(&error, ConnectError::NotKeywright(name) if *name == schema), "{error}");
}

#[tokio::test]
async fn a_pool_that_hands_sessions_around_is_named() {
    let proxy = Proxy::start(shared().port());
    let mut options = own_schema(shared());
    options.url = PostgresOptions::new(shared().url_through(proxy.port())).url;
    // What such a pool answers when the next transaction is in another session.
    proxy.set(Fault::Says(b"SET search_path TO", b"EXECUTE nothing --"));
    let error = refusal(options).await;
    assert!(matches!(error, ConnectError::Pooled(_)), "{error}");
    assert!(error.to_string().contains("pool_mode = session"), "{error}");
}

#[tokio::test]
async fn what_was_added_later_is_seeded() {
    let options = own_schema(shared());
    PostgresStore::connect(options.clone(), keywright_testkit::vault()).await.unwrap().close().await.unwrap();
    shared().sql(&format!("DELETE FROM {}.permissions WHERE bit > 3", options.schema));
    let store = PostgresStore::connect(options, keywright_testkit::vault()).await.unwrap();
    assert_eq!(store.catalogue().await.unwrap(), Catalogue::builtin());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_migrate_once() {
    let options = own_schema(shared());
    let starts: Vec<_> = (0..6)
        .map(|_| tokio::spawn(PostgresStore::connect(options.clone(), keywright_testkit::vault())))
        .collect();
    for start in starts {
        start.await.unwrap().unwrap();
    }
    let sql = format!("SELECT count(*) > 0 AND count(*) = max(number) FROM {}.migrations", options.schema);
    assert_eq!(shared().sql(&sql), "t");
}

#[tokio::test]
async fn a_server_that_forgets_is_refused_unless_that_is_wanted() {
    let server = PostgresServer::start_with(&[("fsync", "off")]);
    let mut options = own_schema(&server);
    let error = refusal(options.clone()).await;
    assert!(matches!(error, ConnectError::Unflushed("fsync")), "{error}");
    options.unflushed = Unflushed::Allow;
    let store = PostgresStore::connect(options, keywright_testkit::vault()).await.unwrap();
    let durability = store.durability().await.unwrap();
    assert_eq!(durability.promise(), Promise::None { reason: "fsync is off".to_owned() });
}

#[tokio::test]
async fn a_lone_server_keeps_what_it_acknowledges() {
    let store = PostgresStore::connect(own_schema(shared()), keywright_testkit::vault()).await.unwrap();
    let durability = store.durability().await.unwrap();
    assert_eq!(durability.promise(), Promise::Strict);
    assert_eq!((durability.timeline.as_str(), durability.is_asynchronous()), ("00000001", false));
    assert!(durability.version_number >= 140_000 && durability.system_identifier != 0);
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let store =
        Arc::new(PostgresStore::connect(own_schema(shared()), keywright_testkit::vault()).await.unwrap());
    Installation::set_up(Arc::clone(&store)).await;
    assert_eq!(store.key_count().await.unwrap(), 0);
    store.close().await.unwrap();
    let closed = |error: &StoreError| matches!(error, StoreError::Unavailable(_));
    assert!(closed(&store.check_writable().await.unwrap_err()));
    assert!(closed(&store.is_set_up().await.unwrap_err()));
    assert!(closed(&store.close().await.unwrap_err()));
}

#[tokio::test]
async fn connections_are_encrypted_and_the_server_is_verified() {
    let authority = || {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (own, foreign) = (authority(), authority());
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let issuer: &Issuer<'_, _> = &own;
    let certificate = params.signed_by(&key, issuer).unwrap();
    let server = PostgresServer::start();
    server.put_file("server.crt", &certificate.pem());
    server.put_file("server.key", &key.serialize_pem());
    server.configure(&[("ssl", "on")]);
    server.restart();
    server.sql("SELECT 1");
    let directory = TempDir::new().unwrap();
    let roots = |name: &str, pem: String| {
        std::fs::write(directory.path().join(name), pem).unwrap();
        Some(directory.path().join(name))
    };
    let mut options = own_schema(&server);
    options.tls_root_certificates = roots("own", own.pem());
    let store = PostgresStore::connect(options.clone(), keywright_testkit::vault()).await.unwrap();
    assert!(!store.is_set_up().await.unwrap());
    let plain = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                 WHERE application_name = 'keywright' AND NOT ssl";
    assert_eq!(server.sql(plain), "0");
    options.tls_root_certificates = roots("foreign", foreign.pem());
    assert!(matches!(refusal(options.clone()).await, ConnectError::Unreachable(_)));
    options.tls_root_certificates = roots("empty", String::new());
    assert!(matches!(refusal(options).await, ConnectError::Options(_)));
}
