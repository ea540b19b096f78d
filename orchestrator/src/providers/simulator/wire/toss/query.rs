//! Looking payments up, and the list of transactions.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::admit;
use super::errors::{MANNER, error};
use super::payment::{aborted, key_of};
use crate::providers::simulator::ledger::{Line, Op, Port, Verdict};
use crate::providers::simulator::lock;
use crate::providers::simulator::names::{order_key, seq_of};
use crate::providers::simulator::rules::On;
use crate::providers::simulator::wire::Front;
use crate::providers::simulator::wire::clock::{kst, parse};
use crate::providers::simulator::wire::reply::{Reply, carry_out, json};
use crate::providers::simulator::wire::socket::Cut;

/// Transactions on a page, unless asked for others, and at most.
const LIMITS: (usize, usize) = (100, 5_000);

/// Ledger lines read at once.
const LINES: usize = 20_000;

/// How far the clock may have been set back between two lines.
const CLOCK_STEP: TimeDelta = TimeDelta::seconds(5);

pub(super) async fn by_key(
    State(front): State<Arc<Front>>,
    cut: Cut,
    Path(payment_key): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Err(response) = admit(&headers) {
        return *response;
    }
    let work = async move {
        let found = front.payment_at(&payment_key).await;
        let name = match found {
            Some((order, _)) => order.to_string(),
            None => payment_key.clone(),
        };
        let call = (Port::Payment, On::Query, name.as_str());
        let look = |_| async {
            let Some((order, charge)) = found else {
                return error("NOT_FOUND_PAYMENT").into();
            };
            front.show(order, charge)
        };
        front.with_faults(call, &MANNER, look).await
    };
    carry_out(cut, work).await
}

pub(super) async fn by_order(
    State(front): State<Arc<Front>>,
    cut: Cut,
    Path(order_id): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Err(response) = admit(&headers) {
        return *response;
    }
    let work = async move {
        let call = (Port::Payment, On::Query, order_id.as_str());
        let look = |_| async { front.show(order_key(&order_id), None) };
        front.with_faults(call, &MANNER, look).await
    };
    carry_out(cut, work).await
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Range {
    start_date: Option<String>,
    end_date: Option<String>,
    starting_after: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn transactions(
    State(front): State<Arc<Front>>,
    cut: Cut,
    Query(range): Query<Range>,
    headers: HeaderMap,
) -> Response {
    if let Err(response) = admit(&headers) {
        return *response;
    }
    let work = async move {
        let call = (Port::Payment, On::Query, "transactions");
        let look = |_| async { front.transactions(&range).await };
        front.with_faults(call, &MANNER, look).await
    };
    carry_out(cut, work).await
}

impl Front {
    fn show(&self, order: uuid::Uuid, charge: Option<u64>) -> Reply {
        if let Some(payment) = self.payment_now(order, charge) {
            return json(StatusCode::OK, &payment.document()).into();
        }
        let mut world = lock(&self.core.world);
        let refused = world.account(order).and_then(|account| {
            let declined = account.declined.as_ref()?;
            let payment_key = declined.payment_key.as_deref().unwrap_or_default();
            Some(aborted(&account.order_id(order), declined, payment_key))
        });
        match refused {
            Some(document) => json(StatusCode::OK, &document).into(),
            None => error("NOT_FOUND_PAYMENT").into(),
        }
    }

    async fn transactions(&self, range: &Range) -> Reply {
        let moment = |text: &Option<String>| text.as_deref().and_then(parse);
        let (Some(start), Some(end)) = (moment(&range.start_date), moment(&range.end_date)) else {
            return error("INVALID_REQUEST").into();
        };
        let limit = range.limit.unwrap_or(LIMITS.0);
        if !(1..=LIMITS.1).contains(&limit) {
            return error("INVALID_REQUEST").into();
        }
        let mut after = match &range.starting_after {
            None => match self.before(start).await {
                Some(after) => after,
                None => return error("COMMON_ERROR").into(),
            },
            Some(key) => match seq_of(Op::Charge, key).or_else(|| seq_of(Op::Refund, key)) {
                Some(after) => after,
                None => return error("INVALID_REQUEST").into(),
            },
        };
        let mut page = Vec::new();
        // A page that is not full is the last one, so all lines are read that it takes to fill it.
        while page.len() < limit {
            let Ok(lines) = self.lines(after, LINES).await else {
                return error("COMMON_ERROR").into();
            };
            let Some(last) = lines.last().filter(|last| last.at <= end + CLOCK_STEP) else {
                page.extend(self.moved(&lines, start, end));
                break;
            };
            after = last.seq;
            page.extend(self.moved(&lines, start, end));
        }
        page.truncate(limit);
        json(StatusCode::OK, &Value::Array(page)).into()
    }

    /// The transactions of these lines.
    fn moved(&self, lines: &[Line], start: DateTime<Utc>, end: DateTime<Utc>) -> Vec<Value> {
        let moved = lines.iter().filter(|line| {
            line.port == Port::Payment
                && line.result == Verdict::Done
                && (start..=end).contains(&line.at)
        });
        moved.filter_map(|line| self.transaction(line)).collect()
    }

    fn transaction(&self, line: &Line) -> Option<Value> {
        let mut world = lock(&self.core.world);
        let account = world.account(order_key(&line.order_id))?;
        let (charge, status) = match line.op {
            Op::Charge => (
                account.charges.iter().find(|it| it.seq == line.seq)?,
                "DONE",
            ),
            _ => {
                let own = account.returns.iter().find(|it| it.seq == line.seq)?;
                let charge = account.charges.iter().find(|it| it.seq == own.charge)?;
                let back = account.returns.iter();
                let back = back.filter(|it| it.charge == own.charge && it.seq <= line.seq);
                let whole = back.map(|it| it.amount).sum::<i64>() == charge.amount;
                (
                    charge,
                    if whole {
                        "CANCELED"
                    } else {
                        "PARTIAL_CANCELED"
                    },
                )
            }
        };
        Some(json!({
            "mId": "bookmarket",
            "transactionKey": line.reference,
            "paymentKey": key_of(charge),
            "orderId": line.order_id,
            "method": "카드",
            "customerKey": null,
            "useEscrow": false,
            "receiptUrl": null,
            "status": status,
            "transactionAt": kst(line.at),
            "currency": line.currency,
            "amount": line.amount,
        }))
    }
}
