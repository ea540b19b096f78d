//! Names, telephone numbers, addresses and payment tokens that are found wherever they leak to.

use serde_json::{Value, json};

use crate::checker::Evidence;
use crate::town::{Town, order};

const NAME: &str = "Canary Kim-Goldfinch";
/// How every number begins: a dealer's books are searched by number, and no customer has a thousand messages.
const PHONE: &str = "010-7777-4";
/// As a dealer gets it.
const DIGITS: &str = "01077774";
const STREET: &str = "99 Canary Wharf-gil";
const TOKEN: &str = "tok-canary-4242";

/// An order of the nth customer with all of them.
pub(super) fn canary(word: &str, nth: usize) -> Value {
    let mut order = order(word);
    let token = format!("{word}:{TOKEN}-{}", uuid::Uuid::new_v4());
    order["payment"]["token"] = json!(token);
    order["contact"] = json!({ "name": NAME, "phone": format!("{PHONE}{nth:03}") });
    order["address"] = json!({ "street": STREET, "city": "Seoul" });
    order
}

#[track_caller]
pub(super) fn is_clean(place: &str, text: &str) {
    for secret in [NAME, PHONE, DIGITS, STREET, TOKEN] {
        if let Some(at) = text.find(secret) {
            let from = text[..at].rfind('\n').map_or(0, |line| line + 1);
            let line: String = text[from..].chars().take(400).collect();
            panic!("{secret} is in {place}: {line}");
        }
    }
}

/// Everything that leaves a process: log lines of both, the ledger, the log, the views.
pub(super) fn scan(town: &Town, evidence: &Evidence) {
    is_clean("the shop's log lines", &town.shop.lines());
    is_clean("the providers' log lines", &town.world.lines());
    let rows = [
        &evidence.ledger,
        &evidence.events,
        &evidence.customers,
        &evidence.sagas,
        &evidence.messages,
    ];
    for (place, rows) in [
        "ledger",
        "log",
        "customer view",
        "saga view",
        "message view",
    ]
    .into_iter()
    .zip(rows)
    {
        for row in rows {
            is_clean(place, &row.to_string());
        }
    }
}
