//! The provider's list of movements, for comparing books and for finding a payment by our reference.

use chrono::{DateTime, FixedOffset, Utc};
use reqwest::Method;
use tokio::time::Instant;

use super::Toss;
use super::wire::{Amount, Payment, Transaction, reference};
use crate::providers::ports::{ChargeName, Direction, Found, MoneyRecord, Page};

/// Records of one page. The provider gives up to 5,000; this many fit well into one answer.
const PAGE: usize = 500;

/// Pages that are searched for one payment. It stands on the first one unless the clocks are far apart.
const SEARCH_PAGES: usize = 20;

/// How far the provider's clock may be behind the one that says when a payment was made.
const BEHIND: chrono::Duration = chrono::Duration::minutes(10);

/// A page as long as the provider's usual one may have a successor, even if we asked for a longer one.
const FULL_PAGE: usize = 100;

/// The list takes local times without saying so.
const KOREA: FixedOffset = FixedOffset::east_opt(9 * 3600).expect("an offset within a day");

/// Records that appear while a list is read go to its end, and the next reading begins there. A clock that is behind the
/// provider's must not cut them off.
const AHEAD: chrono::Duration = chrono::Duration::hours(1);

impl Toss {
    pub(super) async fn list(
        &self,
        since: DateTime<Utc>,
        cursor: Option<String>,
    ) -> Found<Page<MoneyRecord>> {
        let page = self.transactions(since, cursor, self.http.until()).await;
        let (transactions, next) = match page {
            Found::Done(page) => page,
            Found::Refused(refusal) => return Found::Refused(refusal),
            Found::Nothing => (Vec::new(), None),
            Found::Undecided(reason) => return Found::Undecided(reason),
            Found::Unknown(reason) => return Found::Unknown(reason),
        };
        let mut records = Vec::with_capacity(transactions.len());
        for transaction in &transactions {
            match record(transaction) {
                Ok(record) => records.extend(record),
                Err(()) => return Found::Unknown("a movement of money names no amount".to_owned()),
            }
        }
        Found::Done(Page { records, next })
    }

    /// From the reference in our books to the payment. An order has one payment; where it has a second one, the provider's
    /// list is searched for the one that is meant.
    pub(super) async fn locate(&self, charge: &ChargeName, until: Instant) -> Found<Payment> {
        let order = charge.order_id.to_string();
        match self
            .payment(&["v1", "payments", "orders", &order], until)
            .await
        {
            Found::Done(payment) if payment.reference() == charge.charge_ref => {
                Found::Done(payment)
            }
            Found::Done(_) | Found::Nothing => match self.search(charge, until).await {
                Found::Done(key) => self.payment(&["v1", "payments", &key], until).await,
                Found::Nothing => Found::Nothing,
                Found::Refused(refusal) => Found::Refused(refusal),
                Found::Undecided(reason) => Found::Undecided(reason),
                Found::Unknown(reason) => Found::Unknown(reason),
            },
            other => other,
        }
    }

    /// The payment key behind a reference of ours.
    async fn search(&self, charge: &ChargeName, until: Instant) -> Found<String> {
        let (order_id, since) = (charge.order_id.to_string(), charge.charged_after - BEHIND);
        let mut cursor = None;
        for _ in 0..SEARCH_PAGES {
            let (page, next) = match self.transactions(since, cursor, until).await {
                Found::Done(page) => page,
                Found::Nothing => return Found::Nothing,
                Found::Refused(refusal) => return Found::Refused(refusal),
                Found::Undecided(reason) => return Found::Undecided(reason),
                Found::Unknown(reason) => return Found::Unknown(reason),
            };
            let ours = |it: &Transaction| {
                it.order_id == order_id && reference(&it.payment_key) == charge.charge_ref
            };
            if let Some(found) = page.into_iter().find(ours) {
                return Found::Done(found.payment_key);
            }
            match next {
                Some(next) => cursor = Some(next),
                None => return Found::Nothing,
            }
        }
        // The provider is well: it is no reason to leave it alone, and a person has to look.
        Found::Undecided("there are too many payments to find this one among them".to_owned())
    }

    async fn transactions(
        &self,
        since: DateTime<Utc>,
        cursor: Option<String>,
        until: Instant,
    ) -> Found<(Vec<Transaction>, Option<String>)> {
        let mut query = vec![
            ("startDate", local(since)),
            ("endDate", local(Utc::now() + AHEAD)),
            ("limit", PAGE.to_string()),
        ];
        query.extend(cursor.map(|last| ("startingAfter", last)));
        let request = self.request(Method::GET, &["v1", "transactions"], &query);
        let reply = match self.http.send(request, until).await {
            Ok(reply) => reply,
            Err(failure) => return failure.into_found(),
        };
        if !reply.is_success() {
            return self.not_shown(&reply);
        }
        let Some(page) = reply.json::<Vec<Transaction>>() else {
            return Found::Unknown(self.http.garbled(reply.status));
        };
        let last = page.last().filter(|_| page.len() >= FULL_PAGE);
        let next = last.map(|last| last.transaction_key.clone());
        Found::Done((page, next))
    }
}

fn local(moment: DateTime<Utc>) -> String {
    moment
        .with_timezone(&KOREA)
        .format("%Y-%m-%dT%H:%M:%S")
        .to_string()
}

/// A movement as the reconciler knows it; nothing for what moved no money, such as a deposit that is waited for.
fn record(transaction: &Transaction) -> Result<Option<MoneyRecord>, ()> {
    let direction = match transaction.status.as_str() {
        "DONE" => Direction::Charged,
        "CANCELED" | "PARTIAL_CANCELED" => Direction::Returned,
        _ => return Ok(None),
    };
    let mut amount = Amount::read(&transaction.amount, &transaction.currency).ok_or(())?;
    // Some ways of paying list what went back with a minus.
    amount.amount = amount.amount.abs();
    let charge_ref = reference(&transaction.payment_key);
    let reference = match direction {
        Direction::Charged => charge_ref.clone(),
        Direction::Returned => transaction.transaction_key.clone(),
    };
    Ok(Some(MoneyRecord {
        order_id: transaction.order_id.clone(),
        direction,
        charge_ref,
        reference,
        amount,
        at: transaction.transaction_at,
    }))
}
