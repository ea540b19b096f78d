//! `GET /messages/v4/list`: by message, by group, by receiver, by custom field, by time.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde_json::{Map, json};

use super::{MANNER, admit, document, error, phone_name};
use crate::providers::simulator::account::Sent;
use crate::providers::simulator::ledger::{Op, Port};
use crate::providers::simulator::lock;
use crate::providers::simulator::names::{order_key, seq_of};
use crate::providers::simulator::rules::On;
use crate::providers::simulator::wire::Front;
use crate::providers::simulator::wire::clock::parse;
use crate::providers::simulator::wire::reply::{Reply, carry_out, json};
use crate::providers::simulator::wire::socket::Cut;

/// Messages on a page, unless asked for others, and at most.
const LIMITS: (usize, usize) = (20, 500);

/// Ledger lines read for one page.
const LINES: usize = 20_000;

pub(super) async fn handle(
    State(front): State<Arc<Front>>,
    cut: Cut,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if let Err(response) = admit(&headers) {
        return *response;
    }
    let Some(wanted) = Wanted::read(&query) else {
        return error(StatusCode::BAD_REQUEST, "ValidationError");
    };
    let work = async move {
        let look = |_| async { front.list(&wanted).await };
        let name = wanted.name();
        front
            .with_faults((Port::Kakao, On::Query, &name), &MANNER, look)
            .await
    };
    carry_out(cut, work).await
}

/// What is looked for.
#[derive(Debug, Default)]
struct Wanted {
    /// The shop's own id, in the custom fields.
    own: Option<String>,
    /// The line of the message, or of the first of its group.
    seq: Option<u64>,
    to: Option<String>,
    status: Option<String>,
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
    after: Option<u64>,
    limit: usize,
}

impl Wanted {
    fn read(query: &HashMap<String, String>) -> Option<Self> {
        let text = |name: &str| query.get(name).filter(|text| !text.is_empty());
        let moment = |name| match text(name) {
            None => Some(None),
            Some(text) => parse(text).map(Some),
        };
        let limit = match text("limit") {
            None => LIMITS.0,
            Some(limit) => limit
                .parse()
                .ok()
                .filter(|it| (1..=LIMITS.1).contains(it))?,
        };
        let seq = |name: &str, prefix: &str| {
            text(name).map(|id| match id.strip_prefix(prefix) {
                Some(number) => number.parse().unwrap_or(0),
                // What is no id of ours names a message that there is not.
                None => 0,
            })
        };
        Some(Self {
            own: own_id(query),
            seq: text("messageId")
                .map(|id| seq_of(Op::Send, id).unwrap_or(0))
                .or_else(|| seq("groupId", "sim-group-")),
            to: text("to").cloned(),
            status: text("statusCode").cloned(),
            start: moment("startDate")?,
            end: moment("endDate")?,
            after: match text("startKey") {
                None => None,
                Some(key) => Some(seq_of(Op::Send, key)?),
            },
            limit,
        })
    }

    /// By which the faults of this look-up are drawn.
    fn name(&self) -> String {
        match (&self.own, self.seq) {
            (Some(own), _) => own.clone(),
            (None, Some(seq)) => seq.to_string(),
            (None, None) => "messages".to_owned(),
        }
    }

    fn holds(&self, sent: &Sent) -> bool {
        let code = sent.refusal.as_deref().unwrap_or("4000");
        self.seq.is_none_or(|seq| seq == sent.seq)
            && self
                .to
                .as_ref()
                .is_none_or(|to| sent.to == Some(phone_name(to)))
            && self.status.as_ref().is_none_or(|status| status == code)
            && self.start.is_none_or(|start| sent.at >= start)
            && self.end.is_none_or(|end| sent.at <= end)
            && self.after.is_none_or(|after| sent.seq > after)
    }
}

/// The custom field `messageId`, in any of the ways in which a list may be asked for it: as a field of its own, or as
/// one of the criteria.
fn own_id(query: &HashMap<String, String>) -> Option<String> {
    let direct = ["customFields.messageId", "customFields[messageId]"];
    if let Some(id) = direct.iter().find_map(|name| query.get(*name)) {
        return Some(id.clone());
    }
    let criteria = query.get("criteria")?.split(',');
    let mut pairs = criteria.zip(query.get("value")?.split(','));
    let own = pairs.find(|(criterion, _)| direct.contains(criterion));
    own.map(|(_, id)| id.to_owned())
}

impl Front {
    async fn list(&self, wanted: &Wanted) -> Reply {
        let found = match &wanted.own {
            Some(own) => Some((self.own(own, wanted), None)),
            None => self.scan_messages(wanted).await,
        };
        let Some((found, next)) = found else {
            return (MANNER.broken)().into();
        };
        let to = wanted.to.as_deref().unwrap_or_default();
        let mut messages = Map::new();
        for (key, sent) in &found {
            let message = document(key, sent, to);
            let id = message["messageId"].as_str().unwrap_or_default().to_owned();
            messages.insert(id, message);
        }
        let list = json!({
            "startKey": wanted.after.map(reference),
            "nextKey": next.map(reference),
            "limit": wanted.limit,
            "messageList": messages,
        });
        json(StatusCode::OK, &list).into()
    }

    fn own(&self, own: &str, wanted: &Wanted) -> Vec<(String, Sent)> {
        let mut world = lock(&self.core.world);
        let sends = world.account(order_key(own)).map(|account| &account.sends);
        let sends = sends
            .into_iter()
            .flatten()
            .filter(|sent| wanted.holds(sent));
        sends
            .take(wanted.limit)
            .map(|sent| (own.to_owned(), sent.clone()))
            .collect()
    }

    /// Reads on in the ledger until the page is full or there is no more.
    async fn scan_messages(&self, wanted: &Wanted) -> Option<(Vec<(String, Sent)>, Option<u64>)> {
        let (mut after, mut upto) = match (wanted.after, wanted.start) {
            (Some(after), _) => (after, u64::MAX),
            (None, Some(start)) => (self.before(start).await?, u64::MAX),
            (None, None) => (0, u64::MAX),
        };
        if let Some(seq) = wanted.seq {
            (after, upto) = (seq.saturating_sub(1), seq);
        }
        let mut found = Vec::new();
        loop {
            let lines = self.lines(after, LINES).await.ok()?;
            for line in lines.iter().filter(|line| line.op == Op::Send) {
                if line.seq > upto {
                    return Some((found, None));
                }
                if found.len() == wanted.limit {
                    let last = found.last().map(|(_, sent): &(String, Sent)| sent.seq);
                    return Some((found, last));
                }
                found.extend(self.message(&line.key, line.seq, wanted));
            }
            match lines.last() {
                Some(last) if last.seq < upto => after = last.seq,
                _ => return Some((found, None)),
            }
        }
    }

    fn message(&self, key: &str, seq: u64, wanted: &Wanted) -> Option<(String, Sent)> {
        let mut world = lock(&self.core.world);
        let account = world.account(order_key(key))?;
        let sent = account.sends.iter().find(|sent| sent.seq == seq)?;
        wanted.holds(sent).then(|| (key.to_owned(), sent.clone()))
    }
}

fn reference(seq: u64) -> String {
    crate::providers::simulator::names::reference(Op::Send, seq)
}
