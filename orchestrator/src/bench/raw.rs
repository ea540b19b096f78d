//! The baseline: prepared single-row INSERTs into a table of the log's own shape, one connection per caller.

use std::time::Duration;

use anyhow::Context;
use secrecy::SecretString;
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::closed_loop::{Caller, closed_loop};
use super::figures::Run;
use super::payload;
use super::scratch::connect;
use super::server_cpu::ServerCpu;

/// As many as the callers of the figure it is held against.
pub(super) const CONNECTIONS: usize = 64;

/// The log's columns, constraints and indexes; a sequence stands in for the log's own counter.
const TABLE: &str = "
    CREATE TABLE raw_events (LIKE events INCLUDING ALL);
    CREATE SEQUENCE raw_position;
    ALTER TABLE raw_events ALTER COLUMN position SET DEFAULT nextval('raw_position');";

const INSERT: &str = "
    INSERT INTO raw_events (stream_id, category, version, event_id, type, schema_version, data, metadata, recorded_at)
    VALUES ($1, 'order', 1, $2, 'Ordered', 1, $3::text::jsonb, $4::text::jsonb, now())";

/// A connection with the baseline's statement.
pub(super) struct RawInsert {
    client: Client,
    insert: Statement,
}

impl RawInsert {
    pub(super) async fn open(url: &SecretString) -> anyhow::Result<Self> {
        let client = connect(url).await?;
        let insert = client
            .prepare(INSERT)
            .await
            .context("preparing the insert")?;
        Ok(Self { client, insert })
    }
}

impl Caller for RawInsert {
    async fn call(&mut self) -> anyhow::Result<()> {
        let stream = Uuid::now_v7();
        let data = payload::data(stream);
        self.client
            .execute(
                &self.insert,
                &[&stream, &Uuid::now_v7(), &data, &payload::METADATA],
            )
            .await
            .context("inserting a row")?;
        Ok(())
    }
}

/// Makes the table; the database must hold a migrated log.
pub(super) async fn prepare(url: &SecretString) -> anyhow::Result<()> {
    connect(url)
        .await?
        .batch_execute(TABLE)
        .await
        .context("creating the baseline's table")
}

/// Inserts for `length` over `connections` connections.
pub(super) async fn insert_for(
    url: &SecretString,
    connections: usize,
    length: Duration,
) -> anyhow::Result<Run> {
    let mut callers = Vec::with_capacity(connections);
    for _ in 0..connections {
        callers.push(RawInsert::open(url).await?);
    }
    let admin = connect(url).await?;
    settle(&admin).await?;
    let cpu = ServerCpu::find(&admin).await?;
    let before = cpu.map(ServerCpu::sample);
    let rounds = closed_loop(callers, length).await?;
    let postgres_cpu = cpu
        .zip(before)
        .map(|(cpu, before)| cpu.sample().since(&before));
    let done = rounds.latencies.len() as u64;
    // Only now: a backend that has gone can no longer be asked for its CPU time.
    drop(rounds.callers);
    Ok(Run {
        done,
        events: done,
        elapsed: rounds.elapsed,
        latencies: rounds.latencies,
        postgres_cpu,
    })
}

/// Gives every run the same start: no dirty pages of the run before it, all first touches of pages still to come.
/// Only a superuser may ask for it; without it the runs differ a little more.
pub(super) async fn settle(client: &Client) -> anyhow::Result<()> {
    let row = client
        .query_one("SELECT current_setting('is_superuser') = 'on'", &[])
        .await
        .context("asking for the user's rights")?;
    if row.get(0) {
        client
            .batch_execute("CHECKPOINT")
            .await
            .context("asking for a checkpoint")?;
    }
    Ok(())
}
