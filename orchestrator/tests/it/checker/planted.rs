//! Would the checker see it? A few real orders, and in a copy of their evidence one planted error at a time.

use serde_json::{Value, json};

use super::{Asked, Evidence, Finding, Reply, Rule, check, gather, tell};
use crate::town::{Answer, Process, STUCK, is_done, order, until};

/// Orders of every end: shipped, canceled after it was shipped, declined.
struct World {
    sold: String,
    canceled: String,
    evidence: Evidence,
}

/// A shop with the built-in providers, as its customers see it.
struct Shop {
    process: Process,
    http: reqwest::Client,
}

impl Shop {
    async fn order(&self, word: &str) -> Reply {
        let mut wanted = order(word);
        // The built-in providers know a word only by itself.
        wanted["payment"]["token"] = json!(word);
        let request = self.http.post(format!("{}/orders", self.process.url));
        let answer = request.json(&wanted).send().await.expect("an answer");
        let answer = Answer::of(answer).await;
        let (order, status) = (answer.order(), answer.status);
        Reply {
            order,
            asked: Asked::Place,
            status,
        }
    }

    async fn cancel(&self, order: &str) -> Reply {
        let request = self
            .http
            .delete(format!("{}/orders/{order}", self.process.url));
        let status = request.send().await.expect("an answer").status().as_u16();
        Reply {
            order: order.to_owned(),
            asked: Asked::Cancel,
            status,
        }
    }

    async fn saga(&self, wanted: &str, order: &str, holds: impl Fn(&Value) -> bool) {
        let url = format!("{}/sagas/{order}", self.process.url);
        until(wanted, STUCK, async || {
            let answer = self.http.get(&url).send().await.expect("an answer");
            holds(&Answer::of(answer).await.body).then_some(())
        })
        .await;
    }
}

impl World {
    async fn make() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().to_string_lossy().into_owned();
        let http = reqwest::Client::new();
        let mut process = Process::new(folder.path(), "serve", &["--data-dir".to_owned(), data]);
        process.start(&http).await;
        let shop = Shop { process, http };
        let mut replies = Vec::new();
        for word in ["ok", "fine", "decline"] {
            replies.push(shop.order(word).await);
        }
        let (sold, canceled) = (replies[0].order.clone(), replies[1].order.clone());
        for order in [&sold, &canceled] {
            shop.saga("a customer who knows", order, |saga| {
                is_done(saga, "notify")
            })
            .await;
        }
        replies.push(shop.cancel(&canceled).await);
        shop.saga("an unwound order", &canceled, |saga| {
            saga["status"] == "unwound"
        })
        .await;
        let ledger = std::fs::read_to_string(folder.path().join("simulator.jsonl"));
        let ledger = ledger.expect("a ledger");
        let ledger = ledger
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line"));
        let gathered = gather(&shop.http, &shop.process.url, ledger.collect()).await;
        let evidence = Evidence {
            replies,
            ..gathered
        };
        Self {
            sold,
            canceled,
            evidence,
        }
    }

    /// What is found once somebody has tampered with it.
    fn tampered(&self, tamper: impl FnOnce(&mut Evidence)) -> Vec<Finding> {
        let mut copy = self.evidence.clone();
        tamper(&mut copy);
        for (seq, line) in (1..).zip(&mut copy.ledger) {
            line["seq"] = json!(seq);
        }
        check(&copy)
    }

    /// The stream of the event that follows the first one of that stream.
    fn after(&self, stream: &str) -> String {
        let at = self
            .evidence
            .events
            .iter()
            .position(|event| event["stream"] == stream);
        let next = &self.evidence.events[at.expect("such a stream") + 1];
        next["stream"].as_str().expect("a stream").to_owned()
    }

    #[track_caller]
    fn finds(&self, rule: Rule, subject: &str, tamper: impl FnOnce(&mut Evidence)) {
        let found = self.tampered(tamper);
        let hit = found
            .iter()
            .any(|finding| finding.rule == rule && finding.subject == subject);
        assert!(hit, "no {rule:?} about {subject} among {}", tell(&found));
    }
}

/// Where the line of an effect stands.
fn line(evidence: &Evidence, op: &str, order: &str) -> usize {
    let at = evidence
        .ledger
        .iter()
        .position(|line| line["op"] == op && line["orderId"] == order);
    at.unwrap_or_else(|| panic!("no {op} of {order}"))
}

/// The line of an effect once more, under another key.
fn again(evidence: &Evidence, op: &str, order: &str) -> Value {
    let mut line = evidence.ledger[line(evidence, op, order)].clone();
    line["key"] = json!("another");
    line
}

fn row<'a>(rows: &'a mut [Value], name: &str, id: &str) -> &'a mut Value {
    rows.iter_mut().find(|row| row[name] == id).expect("a row")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checker_finds_nothing_in_a_sound_world_and_every_planted_error() {
    let world = World::make().await;
    let untouched = world.tampered(|_| {});
    assert!(untouched.is_empty(), "{}", tell(&untouched));
    plant_money(&world);
    plant_books(&world);
    plant_words(&world);
}

fn plant_money(world: &World) {
    let (sold, canceled) = (world.sold.as_str(), world.canceled.as_str());
    world.finds(Rule::DoubleCharge, sold, |it| {
        it.ledger.push(again(it, "charge", sold))
    });
    // The same line twice, key and all.
    world.finds(Rule::ShippedTwice, sold, |it| {
        it.ledger.push(it.ledger[line(it, "ship", sold)].clone())
    });
    world.finds(Rule::OverRefund, canceled, |it| {
        it.ledger.push(again(it, "refund", canceled))
    });
    world.finds(Rule::Unpaid, sold, |it| {
        let charge = it.ledger.remove(line(it, "charge", sold));
        it.ledger.push(charge);
    });
    world.finds(Rule::RefundAfterHandover, canceled, |it| {
        let mut handover = again(it, "ship", canceled);
        handover["op"] = json!("handover");
        it.ledger.insert(line(it, "refund", canceled), handover);
    });
    world.finds(Rule::Unsettled, canceled, |it| {
        drop(it.ledger.remove(line(it, "refund", canceled)))
    });
    world.finds(Rule::Unsettled, sold, |it| {
        drop(it.ledger.remove(line(it, "ship", sold)))
    });
}

fn plant_books(world: &World) {
    let (sold, canceled) = (world.sold.as_str(), world.canceled.as_str());
    world.finds(Rule::Books, sold, |it| {
        let at = line(it, "charge", sold);
        it.ledger[at]["amount"] = json!(1);
    });
    world.finds(Rule::Books, canceled, |it| {
        drop(it.ledger.remove(line(it, "hold", canceled)))
    });
    let missing = format!("payment-{sold}");
    let next = world.after(&missing);
    world.finds(Rule::Dense, &next, |it| {
        let at = it
            .events
            .iter()
            .position(|event| event["stream"] == missing.as_str());
        it.events.remove(at.expect("a payment"));
    });
    let sent = world
        .evidence
        .ledger
        .iter()
        .find(|line| line["op"] == "send")
        .expect("a message")
        .clone();
    world.finds(
        Rule::MessageTwice,
        sent["key"].as_str().expect("a key"),
        |it| it.ledger.push(sent.clone()),
    );
}

/// Puts an order into a person's hands, with a cause in the carrier's books or with words for the person.
fn park(evidence: &mut Evidence, order: &str, told: bool) {
    let stream = format!("saga-{order}");
    evidence
        .events
        .push(json!({ "stream": stream, "type": "StepParked", "data": { "step": "handover" } }));
    let row = row(&mut evidence.sagas, "sagaId", order);
    row["status"] = json!("parked");
    if told {
        (row["code"], row["reason"], row["suggestion"]) =
            (json!("no"), json!("no"), json!("ask again"));
        row["atStake"] = json!({ "amount": 33_000, "currency": "KRW" });
    } else {
        let mut refused = again(evidence, "ship", order);
        refused["result"] = json!("refused");
        evidence.ledger.push(refused);
    }
}

fn plant_words(world: &World) {
    let (sold, canceled) = (world.sold.as_str(), world.canceled.as_str());
    let reply = |order: &str, asked, status| Reply {
        order: order.to_owned(),
        asked,
        status,
    };
    world.finds(Rule::Lost, "a-lost-order", |it| {
        it.replies.push(reply("a-lost-order", Asked::Place, 201))
    });
    world.finds(Rule::Contradiction, canceled, |it| {
        it.replies.push(reply(canceled, Asked::Cancel, 409))
    });
    world.finds(Rule::NoDueTime, sold, |it| {
        row(&mut it.sagas, "sagaId", sold)["dueAt"] = Value::Null
    });
    // Sagas of messages, hints and charges that go back are no orders, and have to be looked at all the same.
    world.finds(Rule::NoDueTime, "a-saga-of-no-order", |it| {
        let mut other = row(&mut it.sagas, "sagaId", sold).clone();
        (other["sagaId"], other["dueAt"]) = (json!("a-saga-of-no-order"), Value::Null);
        it.sagas.push(other);
    });
    for told in [false, true] {
        world.finds(Rule::Parked, sold, |it| park(it, sold, told));
    }
    world.finds(Rule::View, sold, |it| {
        row(&mut it.customers, "orderId", sold)["status"] = json!("Paid")
    });
}
