//! Whose turn it is, who has lost one, and what was written by somebody whose turn it was not.

use std::collections::BTreeMap;
use std::time::Duration;

use orchestrator::bus::relay;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::many::crew::{Crew, counted, held};
use crate::storm::MENDED;
use crate::town::{Answer, STUCK, until};

/// The turns of workers.
const SWEEPS: &str = "saga-sweeper";
const COMPARES: &str = "reconcile";

const VIEWS: [&str; 3] = ["customer", "message", "saga"];

/// Where the two of each kind are among the members.
const WORKERS: [usize; 2] = [0, 1];
const PROJECTORS: [usize; 2] = [2, 3];
const RELAYS: [usize; 2] = [4, 5];

/// Every turn, and whose it can be.
const TURNS: [(&str, [usize; 2]); 3] = [
    (SWEEPS, WORKERS),
    (COMPARES, WORKERS),
    (relay::LEASE, RELAYS),
];

/// Notes every page of a view that does not lead it on, and every bookmark of one who has no lease any more.
const WATCH: &str = "
    CREATE TABLE written_late (what text NOT NULL);
    CREATE FUNCTION note_it() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO written_late VALUES (TG_TABLE_NAME); RETURN NEW; END $$;
    CREATE TRIGGER written_late AFTER UPDATE ON projection_generations FOR EACH ROW
        WHEN (NEW.moved_at IS DISTINCT FROM OLD.moved_at AND NEW.position <= OLD.position AND NEW.releases = OLD.releases)
        EXECUTE FUNCTION note_it();
    CREATE TRIGGER written_late AFTER UPDATE ON log_bookmarks FOR EACH ROW
        WHEN (NEW.token < OLD.token) EXECUTE FUNCTION note_it();";

/// A transaction of a projector that has said nothing for long: until the server gives it up, nobody else gets at the checkpoint
/// that it has moved.
const HALF_STORED: &str = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'projections' AND state = 'idle in transaction'
    AND state_change < clock_timestamp() - interval '5 seconds')";

/// What a member says at a path now, if anything.
pub(super) async fn asked(crew: &Crew, at: usize, path: &str) -> Option<Answer> {
    let url = format!("{}{path}", crew.members[at].process.url);
    let asked = crew.town.http.get(url).timeout(Duration::from_secs(1));
    Some(Answer::of(asked.send().await.ok()?).await)
}

/// Whether a member projects a view.
async fn projects(crew: &Crew, at: usize, view: &str) -> bool {
    let url = &crew.members[at].process.url;
    let (name, label) = ("bookmarket_projection_active{", format!("view=\"{view}\""));
    counted(&crew.town.http, url, name, &[label.as_str()]).await > 0.0
}

/// How many pages of a member were refused because somebody else had led the view on.
async fn refused(crew: &Crew, at: usize) -> f64 {
    let url = &crew.members[at].process.url;
    let name = "bookmarket_projection_overtaken_total{";
    counted(&crew.town.http, url, name, &[]).await
}

/// Whether the rows of a view are those that a fold of the whole log comes to.
async fn equals_a_replay(crew: &Crew, view: &str) -> bool {
    let path = format!("/projections/{view}");
    let url = format!("{}{path}/rebuild", crew.town.shop.url);
    let wish = crew.town.http.post(url).json(&json!({ "verify": true }));
    let answer = Answer::of(wish.send().await.expect("an answer")).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let done = until("the end of a rebuild", MENDED, async || {
        let last = crew.town.get(&path).await.body["lastRebuild"].take();
        (last["state"] != "running").then_some(last)
    })
    .await;
    assert_eq!(done["state"], "done", "{done}");
    let compared = &done["report"]["verification"];
    assert!(compared["rebuiltRows"].as_u64() > Some(0), "{done}");
    compared["differing"] == 0
}

/// The same of all views.
pub(super) async fn all_equal_a_replay(crew: &Crew) -> bool {
    for view in VIEWS {
        if !equals_a_replay(crew, view).await {
            return false;
        }
    }
    true
}

/// A worker, a projector and a relay whose turn it is.
pub(super) struct Holders {
    pub(super) worker: usize,
    pub(super) projector: usize,
    pub(super) relay: usize,
    /// All turns of theirs, with the owners by which the log knows them.
    had: BTreeMap<&'static str, String>,
    view: &'static str,
    refused: f64,
}

impl Holders {
    pub(super) fn all(&self) -> [usize; 3] {
        [self.worker, self.projector, self.relay]
    }

    /// How many pages of the projector were refused since.
    pub(super) async fn refused(&self, crew: &Crew) -> f64 {
        refused(crew, self.projector).await - self.refused
    }
}

/// What became of the turns of those who were frozen.
#[derive(Debug, Default)]
pub(super) struct PassedOn {
    /// So many are somebody else's.
    pub(super) turns: usize,
    /// A page of a view was under way.
    pub(super) half_stored: bool,
}

/// A look at whose turn it is.
pub(super) struct Turns {
    log: Client,
    driver: JoinHandle<Result<(), tokio_postgres::Error>>,
    /// The owner of each turn while there was only the first of two to have it.
    first: BTreeMap<String, String>,
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Turns {
    /// Hires two workers, two projectors and two relays, in such an order that their owners can be told apart.
    pub(super) async fn of(crew: &mut Crew) -> Self {
        let (log, driver) = crew.log().await;
        log.batch_execute(WATCH).await.expect("watched");
        let mut first = BTreeMap::new();
        for (roles, kind) in [
            ("worker", WORKERS),
            ("projector", PROJECTORS),
            ("relay", RELAYS),
        ] {
            crew.hire(roles).await;
            let owners = until("the first has every turn", STUCK, async || {
                let owners = held(&log).await;
                let mut its = TURNS.iter().filter(|(_, of)| *of == kind);
                let all = its.all(|(turn, _)| owners.contains_key(*turn));
                all.then_some(owners)
            })
            .await;
            for (turn, owner) in owners {
                first.entry(turn).or_insert(owner);
            }
            crew.hire(roles).await;
        }
        Self { log, driver, first }
    }

    /// Somebody of each kind whose turn it is. Of the workers it is, by round, who sweeps or who compares, of the projectors who
    /// projects one view or another. Nothing in a moment in which that is not clear.
    pub(super) async fn holders(&self, crew: &Crew, round: usize) -> Option<Holders> {
        let view = VIEWS[round % VIEWS.len()];
        let mut projectors = Vec::new();
        for at in PROJECTORS {
            if projects(crew, at, view).await {
                projectors.push(at);
            }
        }
        // Where nothing has happened yet, each of them thinks that it does.
        let [projector] = *projectors.as_slice() else {
            return None;
        };
        let refused = refused(crew, projector).await;
        let owners = held(&self.log).await;
        let mut holders = BTreeMap::new();
        for (turn, of) in TURNS {
            let is_second = self.first.get(turn) != Some(owners.get(turn)?);
            holders.insert(turn, of[usize::from(is_second)]);
        }
        let worker = holders[[SWEEPS, COMPARES][round % 2]];
        let relay = holders[relay::LEASE];
        let theirs = holders
            .into_iter()
            .filter(|(_, at)| [worker, relay].contains(at));
        let had = theirs
            .map(|(turn, _)| (turn, owners[turn].clone()))
            .collect();
        Some(Holders {
            worker,
            projector,
            relay,
            had,
            view,
            refused,
        })
    }

    /// Waits until the turns of those who are frozen are others', and the view is another's or a page of it is half stored.
    pub(super) async fn passed_on(&self, crew: &Crew, frozen: &Holders) -> PassedOn {
        until("others have every turn", STUCK, async || {
            let now = held(&self.log).await;
            let mut had = frozen.had.iter();
            had.all(|(turn, owner)| now.get(*turn).is_some_and(|new| new != owner))
                .then_some(())
        })
        .await;
        let [one, other] = PROJECTORS;
        let other = if frozen.projector == one { other } else { one };
        until("another has the view", STUCK, async || {
            let view = projects(crew, other, frozen.view).await;
            let half_stored = self.is_half_stored().await;
            let turns = frozen.had.len() + usize::from(view);
            (view || half_stored).then_some(PassedOn { turns, half_stored })
        })
        .await
    }

    async fn is_half_stored(&self) -> bool {
        let row = self.log.query_one(HALF_STORED, &[]).await;
        row.expect("an answer").get(0)
    }

    /// How often a row of this table was written by somebody whose turn it was not any more.
    pub(super) async fn written_late(&self, table: &str) -> i64 {
        let count = "SELECT count(*) FROM written_late WHERE what = $1";
        let row = self.log.query_one(count, &[&table]).await;
        row.expect("a count").get(0)
    }
}
