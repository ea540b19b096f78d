//! Giving a payment back.

use reqwest::Method;
use serde::Serialize;
use tokio::time::Instant;

use super::codes::CANCEL;
use super::wire::{Amount, Payment};
use super::{Step, Toss, decided, flat, refused, settle, verdict};
use crate::providers::ports::{Answer, Found, MoneyMoved, Refund};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cancel {
    cancel_reason: String,
    /// Always said, even for the whole: without it all that is left would go back, whoever else gave back a part.
    cancel_amount: serde_json::Number,
}

impl Toss {
    pub(super) async fn cancel(&self, refund: Refund) -> Answer<MoneyMoved> {
        let until = self.http.until();
        let payment = match self.locate(&refund.charge(), until).await {
            Found::Done(payment) => payment,
            // Nothing is sent, but it was answered: whoever is answered like this for long needs a person.
            Found::Undecided(reason) => return Answer::Undecided(reason),
            Found::Unknown(reason) => return Answer::NotSent(reason),
            Found::Refused(refusal) => return Answer::Refused(refusal),
            Found::Nothing => {
                return refused(
                    "not-found-payment",
                    "The payment provider does not know the payment that is to be given back.",
                );
            }
        };
        // It may have gone back already: at an earlier attempt whose answer was lost, or by somebody's hand.
        match decided(verdict::refunded(&payment, &refund)) {
            Some(answer) => answer,
            None => self.give_back(&refund, &payment.payment_key, until).await,
        }
    }

    async fn give_back(
        &self,
        refund: &Refund,
        payment_key: &str,
        until: Instant,
    ) -> Answer<MoneyMoved> {
        let Some(amount) = Amount::of(refund.amount).to_wire() else {
            return refused(
                "amount-out-of-range",
                "The amount is too large to be given back.",
            );
        };
        let body = Cancel {
            cancel_reason: verdict::cancel_reason(&refund.key),
            cancel_amount: amount,
        };
        let path = ["v1", "payments", payment_key, "cancel"];
        let request = self
            .request(Method::POST, &path, &[])
            .header("Idempotency-Key", &refund.key)
            .json(&body);
        let judge = |payment: &Payment| verdict::refunded(payment, refund);
        let step = match self.http.send(request, until).await {
            Ok(reply) => self.judge(&reply, CANCEL, |payment| {
                let nothing = || Answer::Undecided("the answer names no refund of ours".into());
                decided(judge(&payment)).unwrap_or_else(nothing)
            }),
            Err(failure) => Step::of(failure),
        };
        match step {
            Step::Final(answer) => answer,
            // Money is to go back, and nobody but a person gets any further: one has to hear of it.
            Step::Locked(reason) => Answer::Undecided(reason),
            Step::Look(otherwise) => {
                let payment = self.payment(&path[..3], until).await;
                settle(otherwise, flat(payment, |payment| judge(&payment)))
            }
        }
    }
}
