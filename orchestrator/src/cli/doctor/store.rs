//! Log and views: what keeps them, which tables there are, and whose clock stamps the events.

use chrono::{DateTime, Utc};
use eventstore::{About, Access, EventStore, Location, OpenError, Options, ReadError, Schema};
use projections::{Place, Places, Projections};
use tokio::time::timeout;

use super::{Finding, PATIENCE};
use crate::clocks;

/// What to do about tables that are missing.
const MIGRATE: &str = "bookmarket migrate (`serve` does it by itself)";

/// What to do about tables of a newer release.
const UPGRADE: &str = "install the release that made these tables, or a later one";

/// What to do about a database that cannot be reached.
const REACH: &str = "check that the database runs, can be reached, and lets this user in";

/// Looks at the store, making nothing.
pub(super) async fn look(places: &Places) -> Vec<Finding> {
    let mut findings = tables(places).await;
    let each = places.each();
    findings.extend(
        each.iter()
            .filter_map(|it| readable_on_the_way(it.location)),
    );
    findings
}

/// A database elsewhere, to which password and orders go in clear.
fn readable_on_the_way(location: &Location) -> Option<Finding> {
    let Location::Postgres { url } = location else {
        return None;
    };
    eventstore::is_readable_on_the_way(url).ok()?.then(|| {
        Finding::mind(
            "encryption",
            "a database is on another machine, and what goes there is not encrypted",
            "add ?sslmode=require to its URL, unless the network is yours alone",
        )
    })
}

async fn tables(places: &Places) -> Vec<Finding> {
    let location = &places.log;
    let options = Options {
        access: Access::ReadOnly,
        ..Options::default()
    };
    let store = match timeout(PATIENCE, EventStore::open(location, options)).await {
        Ok(Ok(store)) => store,
        Ok(Err(error)) => return vec![cannot_open(&error)],
        Err(_) => return vec![Finding::bad("log", "no answer", REACH)],
    };
    let mut findings = match log(&store, location).await {
        Ok(findings) => findings.into(),
        Err(error) => vec![Finding::bad(
            "log",
            format!("it opens but cannot be read: {error}"),
            "look at the database's own log",
        )],
    };
    for place in places.each() {
        findings.push(views(&place).await);
    }
    findings
}

async fn log(store: &EventStore, location: &Location) -> Result<[Finding; 3], ReadError> {
    let head = store.head().await?;
    let before = Utc::now();
    let About {
        server,
        now,
        schema,
    } = store.about().await?;
    let durable = match location {
        Location::Postgres { .. } => "fsync, full_page_writes and synchronous_commit are on",
        Location::Sqlite { .. } => "write-ahead log with synchronous=FULL",
    };
    let epoch = store.epoch().await?;
    let found = format!(
        "{server} with {} events of epoch {epoch}; {}",
        head.0,
        told(schema)
    );
    Ok([
        Finding::good("log", found),
        Finding::good("durability", durable),
        clock(now, before, Utc::now()),
    ])
}

async fn views(place: &Place<'_>) -> Finding {
    use projections::OpenError::{BinaryTooOld, NotMigrated};
    let what = place.name();
    match timeout(PATIENCE, Projections::schema(place.location)).await {
        Ok(Ok(schema)) => Finding::good(what, told(schema)),
        Ok(Err(NotMigrated { applied: 0, .. })) => {
            Finding::mind(what, "there are no tables yet", MIGRATE)
        }
        Ok(Err(error)) => {
            let advice = match error {
                NotMigrated { .. } => MIGRATE,
                BinaryTooOld { .. } => UPGRADE,
                _ => "see the message",
            };
            let found = format!("{:#}", anyhow::Error::from(error));
            Finding::bad(what, found, advice)
        }
        Err(_) => Finding::bad(what, "no answer", REACH),
    }
}

fn told(schema: Schema) -> String {
    let Schema {
        version,
        oldest_binary,
        this_binary,
    } = schema;
    format!(
        "schema {version} for builds from generation {oldest_binary} on, this one is {this_binary}"
    )
}

fn cannot_open(error: &OpenError) -> Finding {
    let advice = match error {
        OpenError::Locked(_) => "stop the other process, or use another --data-dir",
        OpenError::NotMigrated { .. } => MIGRATE,
        OpenError::BinaryTooOld { .. } => UPGRADE,
        OpenError::HalfImport => {
            "bookmarket log import --in FILE, with the file it was begun with; or begin anew in an empty store"
        }
        OpenError::NotDurable { .. } => {
            "turn it on in postgresql.conf; acknowledged orders could be lost"
        }
        OpenError::ReadOnly => "connect to the primary",
        OpenError::Url(_) => "correct DATABASE_URL: postgres://user:password@host:5432/database",
        OpenError::Unavailable(_) => REACH,
        OpenError::Full(_) => "make room",
        OpenError::Io { .. } | OpenError::Migration(_) => "see the message",
    };
    match error {
        // Before the first start there is nothing to open.
        OpenError::NotMigrated { applied: 0, .. } => {
            Finding::mind("log", "there are no tables yet", advice)
        }
        _ => Finding::bad("log", error.to_string(), advice),
    }
}

/// The database was asked between the two moments.
fn clock(database: DateTime<Utc>, before: DateTime<Utc>, after: DateTime<Utc>) -> Finding {
    let ahead = clocks::ahead(database, before, after);
    if clocks::is_too_much(ahead) {
        let word = if ahead > 0.0 { "ahead of" } else { "behind" };
        return Finding::bad(
            "clock",
            format!("the database is {:.1} s {word} this machine", ahead.abs()),
            "set the clocks of this machine and of the database by NTP",
        );
    }
    let now = database.format("%F %T UTC");
    Finding::good(
        "clock",
        format!("this machine and the database agree on {now}"),
    )
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_database_elsewhere_without_tls_is_told_of() {
        let told = |url: &str| readable_on_the_way(&Location::Postgres { url: url.into() });
        assert!(told("postgres://shop@127.0.0.1/shop").is_none());
        assert!(told("postgres://shop@db.example/shop?sslmode=require").is_none());
        let finding = told("postgres://shop@db.example/shop").expect("a finding");
        assert_eq!(finding.verdict, Verdict::Mind);
    }

    #[test]
    fn clocks_that_differ_are_told_of_with_the_direction() {
        let (before, after) = (Utc::now(), Utc::now() + TimeDelta::seconds(9));
        let at = |seconds| clock(before + TimeDelta::seconds(seconds), before, after);
        assert_eq!(at(5).verdict, Verdict::Good);
        for (seconds, told) in [(-7, "7.0 s behind"), (15, "s ahead of")] {
            let finding = at(seconds);
            assert_eq!(finding.verdict, Verdict::Bad);
            assert!(finding.found.contains(told), "{}", finding.found);
        }
    }
}
