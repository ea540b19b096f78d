//! What is done about a finding. Everything goes through a saga, whose stream is the arbiter: the order's own where it can take
//! it, one of its own for a charge that pays for nothing, and one in which a person is asked where nothing else is safe. So it may
//! be done twice, by anybody, at any time.

use aggregates::saga::{State, Verdict};
use chrono::{DateTime, Utc};
use eventstore::{Expected, StreamAppend};
use serde_json::{Value, json};
use uuid::Uuid;

use super::finding::{Finding, Remedy, Safety};
use super::join::Inside;
use super::report::Action;
use super::{Mode, Reconciler, mismatch, restitution};
use crate::execute::{Aggregate, Versioned, load, to_stream};
use crate::fulfilment::steps::*;
use crate::saga::engine::StartError;
use crate::saga::verbs::{self, Cancel, Request};
use aggregates::Decider;
use aggregates::payment::{self, Payment};

/// How often an append is decided anew because the order's books have moved.
const TRIES_MAX: usize = 4;

/// Done, by which saga; or why not.
type Applied = Result<(Action, Option<Uuid>), String>;

impl Reconciler {
    /// Does what may be done about a finding.
    pub(super) async fn apply(
        &self,
        finding: &Finding,
        inside: Option<&Inside>,
        mode: Mode,
        why: &Request,
    ) -> (Action, Option<Uuid>) {
        let applied = match (mode, finding.fix) {
            (Mode::Look, _) => return (Action::None, None),
            (_, Safety::Automatic) | (Mode::Requested, Safety::OnRequest) => {
                self.remedy(finding, inside, why).await
            }
            (_, Safety::Person | Safety::OnRequest) => self.park(finding, inside, why).await,
        };
        applied.unwrap_or_else(|error| {
            tracing::warn!(order = %finding.order_id, code = finding.code, error, "a mismatch could not be set right");
            (Action::Failed(error), None)
        })
    }

    async fn remedy(&self, finding: &Finding, inside: Option<&Inside>, why: &Request) -> Applied {
        let why = &Request {
            actor: why.actor.clone(),
            reason: format!("{}: {}", finding.code, why.reason),
        };
        match (&finding.remedy, inside) {
            (Remedy::ReturnCharge { at }, inside) => {
                self.give_back(finding, *at, inside, why).await
            }
            (Remedy::AdoptCharge, Some(inside)) => {
                self.adopt(
                    inside,
                    LATE_CHARGE,
                    &moved(finding, &finding.reference),
                    why,
                )
                .await
            }
            (Remedy::AdoptParcel(label), Some(inside)) => {
                let output = json!({ "carrier": label.carrier, "waybill": label.waybill });
                self.adopt(inside, SHIP, &output, why).await
            }
            (Remedy::ImportRefund { refund_ref }, Some(inside)) => {
                self.import(finding, refund_ref, inside, why).await
            }
            (Remedy::LookAgain, Some(inside)) => {
                self.fulfilment.scanned(inside.order_id);
                Ok((Action::Fixed, Some(inside.order_id)))
            }
            (Remedy::AskAgain, Some(inside)) => self.ask_again(inside.order_id, why).await,
            _ => self.park(finding, inside, why).await,
        }
    }

    /// Has the saga look for its charge: what it is told by the provider itself moves it, and not what a list shows.
    async fn ask_again(&self, order: Uuid, why: &Request) -> Applied {
        let engine = self.fulfilment.engine();
        let urged = engine.urge(order, &[PAY], why).await.map_err(to_text)?;
        Ok((taken(urged), Some(order)))
    }

    /// Tells the order's saga of an effect that it does not know.
    async fn adopt(&self, inside: &Inside, step: &str, output: &Value, why: &Request) -> Applied {
        let order = inside.order_id;
        let resting = |state: &State| state.is_at_rest();
        let engine = self.fulfilment.engine();
        let found = engine.found(order, step, output, why, resting).await;
        Ok((taken(found.map_err(to_text)?), Some(order)))
    }

    /// Starts the saga that gives a charge back, together with the charge on the order's books.
    async fn give_back(
        &self,
        finding: &Finding,
        charged_at: DateTime<Utc>,
        inside: Option<&Inside>,
        why: &Request,
    ) -> Applied {
        let order_id = Uuid::try_parse(&finding.order_id).map_err(to_text)?;
        let amount = finding.at_stake.ok_or("no amount is known")?;
        let customer_id = inside.and_then(customer);
        let input = restitution::Input {
            order_id,
            customer_id: customer_id.clone(),
            charge_ref: finding.reference.clone(),
            amount: amount.amount,
            currency: amount.currency,
            charged_at: Some(charged_at),
            actor: why.actor.clone(),
            reason: why.reason.clone(),
        };
        let books = customer_id.map(|customer_id| payment::Command {
            order_id,
            customer_id,
            at: Utc::now(),
            action: restitution::excess(&input),
        });
        let id = input.saga_id();
        let data = serde_json::to_value(&input).map_err(to_text)?;
        let started = self
            .start(restitution::NAME, id, data, books.as_ref())
            .await?;
        let store = &self.fulfilment.store;
        if !started && restitution::is_given_up(store, id).await.map_err(to_text)? {
            return self
                .park(&finding.of_a_return_given_up(), inside, why)
                .await;
        }
        Ok((taken(started), Some(id)))
    }

    /// A refund that somebody made at the provider is one like any other; what has not left is called off, and what has is for a
    /// person.
    async fn import(
        &self,
        finding: &Finding,
        refund_ref: &str,
        inside: &Inside,
        why: &Request,
    ) -> Applied {
        let (order, engine) = (inside.order_id, self.fulfilment.engine());
        let output = moved(finding, refund_ref);
        // A saga that is on its way back, or was undone, does not refuse to be: the parcel may have left all the same.
        let has_left = inside.saga.is_done(HANDOVER);
        let both_gone = finding.of_a_parcel_that_left();
        let parked = inside
            .saga
            .step(REFUND)
            .is_some_and(|step| step.parked.is_some());
        if parked {
            let stated = verbs::Finding {
                outcome: Verdict::Done,
                evidence: output,
                force: true,
            };
            engine
                .resolve(order, REFUND, stated, why)
                .await
                .map_err(to_text)?;
            if has_left {
                return self.park(&both_gone, Some(inside), why).await;
            }
            return Ok((Action::Fixed, Some(order)));
        }
        let settled =
            |state: &State| state.is_at_rest() || state.is_done(PAY) && state.unwind.is_none();
        let (recorded, canceled) = engine
            .found_undone(order, REFUND, &output, why, settled)
            .await
            .map_err(to_text)?;
        if has_left || matches!(canceled, Cancel::Refused { .. }) {
            // Should this be cut off here: the next comparison finds a refund on record, and the parcel gone.
            return self.park(&both_gone, Some(inside), why).await;
        }
        Ok((taken(recorded), Some(order)))
    }

    /// Puts a finding into a person's hands, once.
    pub(super) async fn park(
        &self,
        finding: &Finding,
        inside: Option<&Inside>,
        why: &Request,
    ) -> Applied {
        let mut input = mismatch::Input::new(finding, &why.actor);
        // An order that was never paid has no books to say so.
        let paid = inside.filter(|inside| inside.facts.payment.is_some());
        let books = paid.and_then(|inside| {
            Some(payment::Command {
                order_id: inside.order_id,
                customer_id: customer(inside)?,
                at: Utc::now(),
                action: input.found(),
            })
        });
        input.customer_id = books.as_ref().map(|books| books.customer_id.clone());
        let id = input.saga_id();
        let data = serde_json::to_value(&input).map_err(to_text)?;
        let started = self.start(mismatch::NAME, id, data, books.as_ref()).await?;
        let action = if started {
            Action::Parked
        } else {
            Action::UnderWay
        };
        Ok((action, Some(id)))
    }

    /// Starts a saga with what goes onto the order's books in the same append. `false`: there is one.
    async fn start(
        &self,
        saga: &str,
        id: Uuid,
        input: Value,
        books: Option<&payment::Command>,
    ) -> Result<bool, String> {
        let engine = self.fulfilment.engine();
        for _ in 0..TRIES_MAX {
            if engine.exists(id).await.map_err(to_text)? {
                return Ok(false);
            }
            let append = match books {
                Some(command) => self.on_books(command).await?,
                None => Vec::new(),
            };
            match engine.start(saga, id, input.clone(), append).await {
                Ok(_) => return Ok(true),
                Err(StartError::Exists) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Err("the order's books move too fast; the next comparison tries again".to_owned())
    }

    async fn on_books(&self, command: &payment::Command) -> Result<Vec<StreamAppend>, String> {
        let order = command.order_id;
        let loaded = load::<Payment>(&self.fulfilment.store, order).await;
        let Versioned { value, version, .. } = loaded.map_err(to_text)?;
        let expected = match value {
            None => Expected::NoStream,
            Some(_) => Expected::At(version),
        };
        let events = Payment::decide(&value, command).map_err(to_text)?;
        if events.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![to_stream(
            Payment::CATEGORY,
            order,
            expected,
            events,
            order,
        )])
    }
}

fn customer(inside: &Inside) -> Option<String> {
    let order = inside.facts.order.as_ref()?;
    Some(order.customer_id.clone())
}

/// What a saga's step came to, as if the provider had just answered.
fn moved(finding: &Finding, reference: &str) -> Value {
    match finding.at_stake {
        Some(money) => {
            json!({ "ref": reference, "amount": money.amount, "currency": money.currency })
        }
        None => json!({ "ref": reference }),
    }
}

fn taken(now: bool) -> Action {
    if now { Action::Fixed } else { Action::UnderWay }
}

fn to_text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
