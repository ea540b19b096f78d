//! Toss Payments, core API v1 (version 2022-11-16): confirms what a customer has authenticated in the browser, and gives it
//! back.
//!
//! The payment key that the browser hands over is the customer's payment token: it addresses the payment at the provider,
//! but our books get a fingerprint of it as the charge's reference ([`wire::reference`]), because tokens are in no log.

mod charge;
mod codes;
mod records;
mod refund;
mod verdict;
mod wire;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use futures_util::future::{BoxFuture, FutureExt};
use reqwest::header::HeaderValue;
use reqwest::{Method, RequestBuilder};
use secrecy::SecretString;
use tokio::time::Instant;
use uuid::Uuid;

pub(super) use self::codes::words;
use self::codes::{Class, QUERY, Row};
use self::wire::{ErrorBody, Payment};
use super::http::{Endpoint, Failure, Http, Reply, SetupError, authorize, sensitive};
use super::ports::{
    Answer, Charge, ChargeName, ChargeNow, Found, MoneyMoved, MoneyRecord, Page, PaymentPort,
    Refund, Refusal,
};

const PROVIDER: &str = "Toss Payments";

/// How to reach Toss Payments.
#[derive(Debug, Clone)]
pub struct TossSettings {
    /// Where it is; `https://api.tosspayments.com`.
    pub endpoint: Endpoint,
    /// The secret key of the shop (`live_sk_...`, `test_sk_...`, or the widget's `..._gsk_...`).
    pub secret_key: SecretString,
}

/// The adapter.
pub struct Toss {
    http: Http,
    credential: HeaderValue,
}

/// What an answer comes to, before anybody looked.
enum Step {
    Final(Answer<MoneyMoved>),
    /// Look the payment up; what is not found there is this.
    Look(Answer<MoneyMoved>),
    /// Our credentials are refused: nothing was looked at.
    Locked(String),
}

impl Step {
    fn of(failure: Failure) -> Self {
        match failure {
            Failure::NotSent(reason) => Self::Final(Answer::NotSent(reason)),
            Failure::Unknown(reason) => Self::Look(Answer::Unknown(reason)),
        }
    }

    /// A coded answer that is kept under the key.
    fn spent(reason: String, faulty: bool) -> Self {
        Self::Look(Answer::Spent { reason, faulty })
    }
}

impl Toss {
    /// The adapter with these settings. Asks nobody.
    pub fn new(settings: TossSettings) -> Result<Self, SetupError> {
        // The colon is not a typing error: the key is a user name with an empty password.
        let basic = |key: &str| format!("Basic {}", STANDARD.encode(format!("{key}:")));
        Ok(Self {
            http: Http::new(PROVIDER, &settings.endpoint)?,
            credential: sensitive(PROVIDER, "the secret key", &settings.secret_key, basic)?,
        })
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> RequestBuilder {
        authorize(self.http.request(method, path, query), &self.credential)
            // Codes are the same in every language; the sentences are not used.
            .header("Accept-Language", "en-US")
    }

    /// Judges an answer to a request that moves money.
    fn judge(
        &self,
        reply: &Reply,
        table: &'static [Row],
        done: impl FnOnce(Payment) -> Answer<MoneyMoved>,
    ) -> Step {
        if reply.is_success() {
            return match reply.json::<Payment>().map(done) {
                Some(undecided @ Answer::Undecided(_)) => Step::Look(undecided),
                Some(answer) => Step::Final(answer),
                None => Step::Look(Answer::Unknown(self.http.garbled(reply.status))),
            };
        }
        let Some(error) = reply.json::<ErrorBody>() else {
            return Step::Look(Answer::Unknown(self.http.garbled(reply.status)));
        };
        let Some(row) = codes::row_of(table, &error.code) else {
            return Step::spent(not_documented(), false);
        };
        match row.class {
            Class::Declined => Step::Final(Answer::Refused(row.refusal())),
            Class::DeclinedUnlessDone => Step::Look(Answer::Refused(row.refusal())),
            Class::SetUp => {
                self.http.complain(row.code);
                Step::Final(Answer::Refused(row.refusal()))
            }
            Class::Locked => {
                self.http.complain(row.code);
                Step::Locked(row.sentence())
            }
            Class::Open => Step::Look(Answer::Undecided(row.sentence())),
            Class::Failed => Step::spent(row.sentence(), false),
            Class::Faulty => Step::spent(row.sentence(), true),
        }
    }

    async fn payment(&self, path: &[&str], until: Instant) -> Found<Payment> {
        let reply = match self
            .http
            .send(self.request(Method::GET, path, &[]), until)
            .await
        {
            Ok(reply) => reply,
            Err(failure) => return failure.into_found(),
        };
        if reply.is_success() {
            let payment = reply.json::<Payment>();
            return payment.map_or_else(
                || Found::Unknown(self.http.garbled(reply.status)),
                Found::Done,
            );
        }
        self.not_shown(&reply)
    }

    /// Why a look-up shows nothing: because there is nothing, or because it failed.
    fn not_shown<T>(&self, reply: &Reply) -> Found<T> {
        let Some(error) = reply.json::<ErrorBody>() else {
            return Found::Unknown(self.http.garbled(reply.status));
        };
        let Some(row) = codes::row_of(QUERY, &error.code) else {
            return Found::Undecided(not_documented());
        };
        if matches!(row.class, Class::Locked | Class::SetUp) {
            self.http.complain(row.code);
        }
        match row.class {
            Class::Declined | Class::DeclinedUnlessDone => Found::Nothing,
            Class::Faulty => Found::Unknown(row.sentence()),
            Class::Locked | Class::SetUp | Class::Open | Class::Failed => {
                Found::Undecided(row.sentence())
            }
        }
    }
}

/// Its code is the provider's word, but not one we know to be clean of what a customer typed.
fn not_documented() -> String {
    format!("{PROVIDER} answered with a code that is not documented")
}

fn refused(code: &str, reason: &str) -> Answer<MoneyMoved> {
    Answer::Refused(Refusal {
        code: code.to_owned(),
        reason: reason.to_owned(),
    })
}

/// What a look-up says about an attempt; nothing if it found nothing.
fn decided(found: Found<MoneyMoved>) -> Option<Answer<MoneyMoved>> {
    match found {
        Found::Done(moved) => Some(Answer::Done(moved)),
        Found::Refused(refusal) => Some(Answer::Refused(refusal)),
        Found::Undecided(reason) => Some(Answer::Undecided(reason)),
        Found::Unknown(reason) => Some(Answer::Unknown(reason)),
        Found::Nothing => None,
    }
}

/// What was found decides. What was not found is what the answer said; what could not be looked up is unknown, whatever the
/// answer said.
fn settle(otherwise: Answer<MoneyMoved>, found: Found<MoneyMoved>) -> Answer<MoneyMoved> {
    match (decided(found), otherwise) {
        // That the look-up failed as well says less than why there was one.
        (
            Some(Answer::Unknown(_)),
            Answer::Unknown(first) | Answer::Spent { reason: first, .. },
        ) => Answer::Unknown(first),
        (Some(Answer::Unknown(_)), undecided @ Answer::Undecided(_)) => undecided,
        (Some(answer), _) => answer,
        (None, otherwise) => otherwise,
    }
}

fn flat<T, U>(found: Found<T>, judge: impl FnOnce(T) -> Found<U>) -> Found<U> {
    match found {
        Found::Done(found) => judge(found),
        Found::Refused(refusal) => Found::Refused(refusal),
        Found::Nothing => Found::Nothing,
        Found::Undecided(reason) => Found::Undecided(reason),
        Found::Unknown(reason) => Found::Unknown(reason),
    }
}

impl PaymentPort for Toss {
    fn charge(&self, charge: Charge) -> BoxFuture<'_, Answer<MoneyMoved>> {
        self.confirm(charge).boxed()
    }

    fn probe<'a>(&'a self, order_id: Uuid, _key: &'a str) -> BoxFuture<'a, Found<MoneyMoved>> {
        self.look(order_id, None).boxed()
    }

    fn probe_with<'a>(
        &'a self,
        order_id: Uuid,
        _key: &'a str,
        token: &'a str,
    ) -> BoxFuture<'a, Found<MoneyMoved>> {
        self.look(order_id, Some(token)).boxed()
    }

    fn find(&self, charge: ChargeName) -> BoxFuture<'_, Found<ChargeNow>> {
        async move {
            let payment = self.locate(&charge, self.http.until()).await;
            flat(payment, |payment| verdict::now(&payment))
        }
        .boxed()
    }

    fn refund(&self, refund: Refund) -> BoxFuture<'_, Answer<MoneyMoved>> {
        self.cancel(refund).boxed()
    }

    fn probe_refund(&self, refund: Refund) -> BoxFuture<'_, Found<MoneyMoved>> {
        async move {
            let payment = self.locate(&refund.charge(), self.http.until()).await;
            flat(payment, |payment| verdict::refunded(&payment, &refund))
        }
        .boxed()
    }

    fn records(
        &self,
        since: DateTime<Utc>,
        cursor: Option<String>,
    ) -> BoxFuture<'_, Found<Page<MoneyRecord>>> {
        self.list(since, cursor).boxed()
    }
}
