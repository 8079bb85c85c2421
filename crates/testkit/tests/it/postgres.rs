//! The `PostgreSQL` fixture keeps its promises.

use keywright_testkit::PostgresServer;

#[test]
fn a_server_crashes_comes_back_and_is_gone_in_the_end() {
    let server = PostgresServer::start();
    server.sql("CREATE TABLE t (n int); INSERT INTO t VALUES (7)");
    server.restart_immediate();
    assert_eq!(server.sql("SELECT n FROM t"), "7");
    server.kill();
    server.start_again();
    assert_eq!(server.sql("SELECT n FROM t"), "7");
    assert!(server.url().contains(server.password()));
    let directory = server.data_directory();
    assert!(directory.exists());
    drop(server);
    assert!(!directory.exists());
}

#[test]
fn a_standby_follows_and_is_promoted() {
    let primary = PostgresServer::start();
    let standby = primary.standby("second");
    assert_eq!(standby.sql("SELECT pg_is_in_recovery()"), "t");
    primary.stop();
    standby.promote();
    assert_eq!(standby.sql("SELECT pg_is_in_recovery()"), "f");
}
