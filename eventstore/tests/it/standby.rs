//! A commit that waits for a standby.

use std::time::Duration;

use eventstore::{EventStore, Location, Options};
use tokio_postgres::Client;

use crate::server::{PATIENCE, Server, administrator};
use crate::support::{append_one, whole_log};

/// Has every commit from now on wait for this standby; for none if it has no name.
async fn set_standby(location: &Location, client: &Client, name: &str) {
    client
        .batch_execute(&format!(
            "ALTER SYSTEM SET synchronous_standby_names = '{name}'"
        ))
        .await
        .expect("set");
    client
        .batch_execute("SELECT pg_reload_conf()")
        .await
        .expect("reloaded");
    // Whoever connects after the server has read it is told so, and by then the checkpointer, which passes it on to all commits, was as
    // well. It does before it makes the next checkpoint.
    tokio::time::timeout(PATIENCE, async {
        loop {
            let sql = "SHOW synchronous_standby_names";
            let newcomer = administrator(location).await;
            let shown = newcomer.query_one(sql, &[]).await.expect("asked");
            if shown.get::<_, &str>(0) == name {
                return;
            }
        }
    })
    .await
    .expect("the server reads its configuration");
    client.batch_execute("CHECKPOINT").await.expect("made");
}

/// Cancels a backend that waits for a standby, once there is one. Its commit succeeds, with a warning.
async fn cancel_a_wait(client: &Client) {
    let sql = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    tokio::time::timeout(PATIENCE, async {
        while client.query(sql, &[]).await.expect("asked").is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("a commit waits for its standby");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_gave_up_waiting_for_its_standby_is_acknowledged_only_when_the_standby_has_it()
 {
    let (_server, location) = Server::start().await;
    EventStore::migrate(&location).await.expect("migrated");
    let options = Options {
        append_deadline: Duration::from_secs(60),
        ..Options::default()
    };
    let store = EventStore::open(&location, options).await.expect("opened");
    let client = administrator(&location).await;
    set_standby(&location, &client, "nobody").await;

    let appending = store.clone();
    let append = tokio::spawn(async move { append_one(&appending).await });
    cancel_a_wait(&client).await;
    // The next wait is that of the new connection: the reply to the append was not taken for an acknowledgement.
    cancel_a_wait(&client).await;
    assert_eq!(
        store.head().await.expect("head").0,
        1,
        "it is committed here"
    );
    assert!(!append.is_finished(), "and nowhere else");

    set_standby(&location, &client, "").await;
    append.await.expect("ran").expect("stored");
    assert_eq!(whole_log(&store).await.len(), 1);
    assert_eq!(store.stats().settled, 1);
}
