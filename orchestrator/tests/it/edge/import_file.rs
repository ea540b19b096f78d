//! `orders import` of a file as another shop's system writes it, judged by the provider's own books.

use std::collections::{BTreeMap, HashSet};

use aggregates::order::Order;
use eventstore::Position;
use orchestrator::execute::Aggregate as _;
use serde_json::{Value, json};

use super::child::complaint;
use super::import::{import, lines_by_fate};
use super::server::{TestServer, on_each_backend};

/// Good orders in the file.
const ORDERS: usize = 200;

/// Every so many of them is marked as canceled.
const CANCELED_EVERY: usize = 9;

/// Titles are not all ASCII, and as long as they may be.
const TITLES: [&str; 3] = [
    "Principles: Life and Work",
    "The Cowboy and the Cossack (Nancy Pearl’s Book Lust Rediscoveries)",
    "데미안 – 에밀 싱클레어의 젊은 날의 이야기",
];

/// A file, and what has to come of it.
struct Sheet {
    lines: Vec<String>,
    /// What each good order costs, and whether it is marked as canceled.
    orders: Vec<(i64, bool)>,
    /// Lines that say once more what an earlier one says; so many of them of canceled orders.
    repeats: (u64, u64),
    /// Numbers of the lines that are none, counted from 1.
    bad: Vec<usize>,
}

/// One order, as the same dice always throw it; no contact, and of the address the country alone.
fn order(nth: usize, dice: &mut fastrand::Rng) -> (Value, i64) {
    let mut total = 0;
    // Most are short; some are of a shop that orders for others.
    let length = if nth % 100 == 7 {
        271
    } else {
        dice.usize(1..6)
    };
    let lines = (0..length).map(|line| {
        let qty = if line == 3 { 12_345 } else { dice.i64(1..25) };
        // A gift among what is paid for.
        let price = if line == 2 { 0 } else { dice.i64(60..2_500) };
        total += qty * price;
        // Not every book has an ISBN.
        let book = if line.is_multiple_of(2) {
            format!("97815011{:05}", dice.u32(0..100_000))
        } else {
            format!("{}A", 20_000 + line)
        };
        let title: String = TITLES[dice.usize(0..3)]
            .chars()
            .cycle()
            .take(dice.usize(20..250))
            .collect();
        json!({ "bookId": book, "title": title, "qty": qty, "unitPrice": price })
    });
    let lines: Vec<Value> = lines.collect();
    let day = 1 + nth % 28;
    let order = json!({
        "placedAt": format!("2018-01-{day:02}T08:45:00Z"),
        "externalId": format!("oec-{:04}/2018-01-{day:02}/{nth}", nth % 40),
        "customerId": format!("oec-{:04}", nth % 40),
        "lines": lines,
        "currency": if nth.is_multiple_of(3) { "GBP" } else { "USD" },
        "address": { "country": "United Kingdom" },
    });
    (order, total)
}

fn sheet() -> Sheet {
    let mut dice = fastrand::Rng::with_seed(20_260_818);
    let (mut lines, mut orders) = (Vec::new(), Vec::new());
    for nth in 0..ORDERS {
        let (mut order, total) = order(nth, &mut dice);
        let canceled = nth % CANCELED_EVERY == 0;
        if canceled {
            let spelled = ["Cancelled", "Canceled"][nth / CANCELED_EVERY % 2];
            order["outcome"] = json!(spelled);
        }
        orders.push((total, canceled));
        lines.push(order.to_string());
    }
    let again = [CANCELED_EVERY, 10, 11, 12, 13];
    lines.extend(again.map(|nth| lines[nth].clone()));
    let mut bad = Vec::new();
    let mut spoiled: Value = serde_json::from_str(&lines[1]).expect("an order");
    spoiled["lines"][0]["qty"] = json!(999);
    for line in [
        lines[2][..100].to_owned(),
        r#"{"customerId":"7","lines":[],"externalId":"none"}"#.to_owned(),
        lines[3].replacen('{', r#"{"outcome":"Lost","#, 1),
        // The number of an order that is another one.
        spoiled.to_string(),
    ] {
        lines.push(line);
        bad.push(lines.len());
    }
    Sheet {
        lines,
        orders,
        repeats: (5, 1),
        bad,
    }
}

/// What the provider has taken for an order and given back, by its own books.
#[derive(Debug, Default, PartialEq)]
struct Account {
    charges: Vec<i64>,
    refunds: Vec<i64>,
}

fn books(server: &TestServer) -> BTreeMap<String, Account> {
    let ledger = server.folder.path().join("data/simulator.jsonl");
    let ledger = std::fs::read_to_string(ledger).expect("the provider's books");
    let mut books: BTreeMap<String, Account> = BTreeMap::new();
    for line in ledger.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let op = line["op"].as_str().expect("what it did");
        if !["charge", "refund"].contains(&op) {
            continue;
        }
        assert_eq!(line["result"], "done", "{line}");
        let order = line["orderId"].as_str().expect("an order");
        let sum = line["amount"].as_i64().expect("a sum");
        let account = books.entry(order.to_owned()).or_default();
        match op {
            "charge" => account.charges.push(sum),
            _ => account.refunds.push(sum),
        }
    }
    books
}

/// Everything is paid once, and what the file marks as canceled is given back once and whole; nothing else is.
fn books_fit(sheet: &Sheet, books: &BTreeMap<String, Account>) {
    let mut found = Vec::new();
    for (order, account) in books {
        let [charge] = account.charges[..] else {
            panic!("{order}: {account:?}")
        };
        let back = !account.refunds.is_empty();
        assert!(!back || account.refunds == [charge], "{order}: {account:?}");
        found.push((charge, back));
    }
    let mut wanted = sheet.orders.clone();
    wanted.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, wanted);
}

/// Orders that the log knows.
async fn orders_in_log(server: &TestServer) -> usize {
    let (mut orders, mut after) = (HashSet::new(), Position::ZERO);
    loop {
        let page = server.edge().store.read_all(after, 1_000, None).await;
        let page = page.expect("the log can be read");
        if page.next == after {
            return orders.len();
        }
        let streams = page.events.into_iter().map(|event| event.stream);
        orders.extend(streams.filter(|stream| stream.category == Order::CATEGORY));
        after = page.next;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_shop_comes_in_whole_once_and_its_cancellations_are_refunded_in_full() {
    let sheet = sheet();
    let (repeats, canceled_again) = sheet.repeats;
    let canceled = sheet.orders.iter().filter(|(_, canceled)| *canceled);
    let (orders, canceled) = (ORDERS as u64, canceled.count() as u64);
    let (lines, bad) = (sheet.lines.len() as u64, sheet.bad.len() as u64);
    assert_eq!(orders + repeats + bad, lines);
    on_each_backend(async |server| {
        let (output, first) = import(server, &sheet.lines).await;
        assert_eq!(output.status.code(), Some(1), "{}", complaint(&output));
        let canceled_lines = canceled + canceled_again;
        assert_eq!(
            lines_by_fate(&first),
            [lines, orders, repeats, 0, canceled_lines, bad]
        );
        assert_eq!(first["failedLines"], json!(sheet.bad));
        server
            .eventually("/orders?status=Canceled&size=100", |list| {
                list["page"]["count"] == canceled
            })
            .await;
        let stored = orders_in_log(server).await;
        assert_eq!(stored as u64, orders);
        let before = books(server);
        books_fit(&sheet, &before);

        let (_, second) = import(server, &sheet.lines).await;
        assert_eq!(
            lines_by_fate(&second),
            [lines, 0, orders + repeats, 0, canceled_lines, bad]
        );
        assert_eq!(second["failedLines"], json!(sheet.bad));
        assert_eq!(books(server), before);
        assert_eq!(orders_in_log(server).await, stored);
    })
    .await;
}
