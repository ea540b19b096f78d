//! A database of the bench's own on the server it was pointed at, dropped when the bench ends.

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

/// Names what a bench leaves behind if it is killed, so that it can be found and dropped by hand.
const PREFIX: &str = "bookmarket_bench_";

/// A fresh, empty database.
pub(super) struct Scratch {
    admin: SecretString,
    name: String,
    pub(super) url: SecretString,
}

/// Opens one connection. Benches talk to a server nearby, without TLS.
pub(super) async fn connect(url: &SecretString) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url.expose_secret(), NoTls)
        .await
        .context("connecting to Postgres")?;
    // Ends by itself when the client is dropped; an error reaches whoever uses the client.
    tokio::spawn(connection);
    Ok(client)
}

/// Runs `body` on a fresh database and drops it again, also when `body` fails or Ctrl-C is pressed.
pub(super) async fn with_scratch<T>(
    admin: &SecretString,
    body: impl AsyncFnOnce(&Scratch) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let scratch = Scratch::create(admin).await?;
    let result = tokio::select! {
        result = body(&scratch) => result,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    let dropped = scratch.drop().await;
    let value = result?;
    dropped?;
    Ok(value)
}

impl Scratch {
    async fn create(admin: &SecretString) -> anyhow::Result<Self> {
        let name = format!("{PREFIX}{}", Uuid::now_v7().simple());
        let url = with_database(admin.expose_secret(), &name)?;
        let client = connect(admin).await?;
        client
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .context("creating a database for the bench (the user needs CREATEDB)")?;
        Ok(Self {
            admin: admin.clone(),
            name,
            url: url.into(),
        })
    }

    async fn drop(self) -> anyhow::Result<()> {
        let client = connect(&self.admin).await?;
        client
            .batch_execute(&format!(
                "DROP DATABASE IF EXISTS {} WITH (FORCE)",
                self.name
            ))
            .await
            .with_context(|| format!("dropping the database {}", self.name))
    }
}

/// The same server and user, another database.
fn with_database(url: &str, name: &str) -> anyhow::Result<String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        bail!("DATABASE_URL must look like postgres://user@host/database");
    };
    let (before_query, query) = rest
        .split_once('?')
        .map_or((rest, None), |(path, query)| (path, Some(query)));
    let authority = before_query
        .split_once('/')
        .map_or(before_query, |(authority, _)| authority);
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    Ok(format!("{scheme}://{authority}/{name}{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_the_database_changes() {
        let changed = |url| with_database(url, "bench").expect("a URL");
        assert_eq!(
            changed("postgres://u:p@h:5433/shop?sslmode=disable"),
            "postgres://u:p@h:5433/bench?sslmode=disable"
        );
        assert_eq!(changed("postgresql://h"), "postgresql://h/bench");
        assert!(with_database("host=h user=u", "bench").is_err());
    }
}
