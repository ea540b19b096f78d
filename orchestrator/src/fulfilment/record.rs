//! From what happened in the saga to what is recorded of the order, its money, its parcel and its messages. Pure: the
//! deciders are asked, and what is on record already gives nothing.

mod desk;

use aggregates::delivery;
use aggregates::order;
use aggregates::payment;
use aggregates::saga::{SagaEvent, StepDone, StepRefused, StepResolved, Verdict};
use eventstore::StreamAppend;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::outputs::{LabelOutput, MoneyOutput, ScansOutput, SentOutput};
use super::steps::*;
use crate::saga::definition::{RecordError, Transition};
use crate::saga::history::History;
use crate::saga::plan::{GAVE_UP, NOT_DONE};
use desk::Desk;
pub(super) use desk::notice;

/// The code of a scan that a granted hold should have made impossible.
const SCAN_AFTER_HOLD: &str = "scan-after-hold";
/// The code of a label that the carrier does not void any more.
const NOT_CANCELED: &str = "label-not-void";
/// Why a parcel that left before it was held is no matter of undoing.
const WAS_HANDED_OVER: &str = "the parcel left before it was held, and is on record as handed over: resolve handover as done, and take it back as a return";

/// The domain events of one transition.
pub(super) fn record(
    history: &History,
    transition: &Transition<'_>,
) -> Result<Vec<StreamAppend>, RecordError> {
    if !transition.events.iter().any(is_news) {
        return Ok(Vec::new());
    }
    let mut desk = Desk::open(history, transition)?;
    for event in transition.events {
        note(&mut desk, event)?;
    }
    Ok(desk.close())
}

/// Whether a step was closed by us, without an answer of the provider.
pub(super) fn is_our_own(code: &str) -> bool {
    code == PAYMENT_EXPIRED || code == NOT_DONE
}

/// Most events of a saga say nothing about the world.
fn is_news(event: &SagaEvent) -> bool {
    match event {
        SagaEvent::StepDone(_)
        | SagaEvent::StepRefused(_)
        | SagaEvent::StepResolved(_)
        | SagaEvent::StepSkipped(_)
        | SagaEvent::CancelRequested(_)
        | SagaEvent::CancelRefused(_) => true,
        SagaEvent::AttemptEnded(ended) => is_message(&ended.step),
        SagaEvent::SignalReceived(received) => {
            received.signal == ANSWER_PENDING || received.signal == SCANS
        }
        SagaEvent::StepStarted(started) => started.step == TELL,
        _ => false,
    }
}

fn is_message(step: &str) -> bool {
    step == NOTIFY || step == TELL
}

fn note(desk: &mut Desk<'_>, event: &SagaEvent) -> Result<(), RecordError> {
    match event {
        SagaEvent::StepDone(late) if late.late && pays_for_nothing(desk, late) => Ok(()),
        SagaEvent::StepDone(StepDone { step, output, .. }) => done(desk, step, output),
        // Another attempt was done meanwhile, or is still at it: what that comes to is what goes on the books.
        SagaEvent::StepRefused(StepRefused { late: true, .. }) => Ok(()),
        SagaEvent::StepRefused(StepRefused {
            step, code, reason, ..
        }) => refused(desk, step, code, reason),
        SagaEvent::StepResolved(resolved) => decided(desk, resolved),
        SagaEvent::StepSkipped(skipped) if is_message(&skipped.step) => {
            desk.suppress(&skipped.step, &skipped.reason)
        }
        SagaEvent::StepSkipped(skipped) if skipped.step == TRACK => {
            desk.delivery_unless_over(delivery::Action::RecordTrackingLost)
        }
        // Others had given it up, and this attempt may have sent it: it is looked for, and tried again.
        SagaEvent::AttemptEnded(ended) if is_message(&ended.step) && ended.late => {
            if desk.is_reopened(&ended.step) {
                desk.request_again(&ended.step)?;
            }
            Ok(())
        }
        SagaEvent::AttemptEnded(ended) if is_message(&ended.step) && ended.attempt == 1 => {
            desk.request(&ended.step)
        }
        SagaEvent::StepStarted(started) if started.step == TELL && desk.was_closed(TELL) => {
            desk.request_again(TELL)
        }
        SagaEvent::SignalReceived(received) if received.signal == ANSWER_PENDING => {
            desk.order(order::Action::MarkPending)
        }
        SagaEvent::SignalReceived(received) if received.signal == SCANS => {
            scans(desk, &received.data)
        }
        SagaEvent::CancelRequested(asked) => {
            let (reason, actor) = (asked.reason.clone(), asked.actor.clone());
            desk.order(order::Action::RequestCancel { reason, actor })
        }
        SagaEvent::CancelRefused(refused) => {
            let (code, reason) = (refused.code.clone(), refused.reason.clone());
            desk.order(order::Action::RefuseCancel { code, reason })?;
            // The parcel goes its way after all, and its customer is told of it.
            if desk.is_renewed(NOTIFY) {
                desk.request_again(NOTIFY)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn done(desk: &mut Desk<'_>, step: &str, output: &Value) -> Result<(), RecordError> {
    match step {
        PAY | LATE_CHARGE => charged(desk, output),
        SHIP => {
            let LabelOutput { carrier, waybill } = parse(step, output)?;
            let shipment = delivery::Action::RecordShipment {
                carrier: carrier.clone(),
                waybill: waybill.clone(),
            };
            desk.delivery(shipment)?;
            desk.order_unless_over(order::Action::RecordShipment { carrier, waybill })
        }
        HANDOVER => {
            handed_over(desk)?;
            scans(desk, output)
        }
        // What arrives although it was called off is no arrival: that it left is all there is to say.
        TRACK if desk.is_turned() && desk.is_held_back() => handed_over(desk),
        TRACK => {
            scans(desk, output)?;
            desk.delivery(delivery::Action::RecordDelivery)?;
            desk.order(order::Action::RecordDelivery)
        }
        NOTIFY | TELL => desk.sent(step, parse(step, output)?),
        // Who took it along before saying that it stays does not keep it.
        HOLD if desk.is_gone() => Ok(()),
        HOLD => desk.delivery(delivery::Action::RecordHold),
        CANCEL_ORDER => desk.cancel_order(),
        REFUND => {
            let output: MoneyOutput = parse(step, output)?;
            let kept = desk.kept()?;
            desk.payment(payment::Action::RecordRefund {
                money: output.money(kept.money),
                provider_ref: kept.provider_ref,
                refund_ref: output.reference,
            })
        }
        CANCEL_DELIVERY => desk.delivery(delivery::Action::RecordCancel),
        _ => Ok(()),
    }
}

/// An answer that comes late and names another charge than the one that pays for the order, or has paid for it before it went back,
/// is no trouble of the order's: it is kept in the saga's own event, and the charge is found when the books are compared, and given
/// back.
fn pays_for_nothing(desk: &Desk<'_>, done: &StepDone) -> bool {
    let is_charge = done.step == PAY || done.step == LATE_CHARGE;
    let named: Option<MoneyOutput> = is_charge
        .then(|| serde_json::from_value(done.output.clone()).ok())
        .flatten();
    named.is_some_and(|named| desk.has_others(&named.reference))
}

/// A charge counts whenever it is found; whether there still is an order for it is the order's affair.
fn charged(desk: &mut Desk<'_>, output: &Value) -> Result<(), RecordError> {
    let output: MoneyOutput = parse(PAY, output)?;
    let money = output.money(desk.total()?);
    let provider_ref = output.reference.clone();
    desk.payment(payment::Action::RecordCharge {
        money,
        provider_ref,
    })?;
    desk.order_unless_over(order::Action::ConfirmPayment {
        payment_ref: output.reference,
    })
}

/// A scan is a fact. Where the parcel was to stay it is one that people have to look at.
fn handed_over(desk: &mut Desk<'_>) -> Result<(), RecordError> {
    if desk.is_held_back() {
        let at_stake = desk.total()?;
        return desk.delivery(delivery::Action::RecordException {
            code: SCAN_AFTER_HOLD.to_owned(),
            reason: "The carrier took the parcel along although it had promised to hold it."
                .to_owned(),
            at_stake,
        });
    }
    desk.delivery(delivery::Action::RecordHandover)?;
    desk.order_unless_over(order::Action::RecordHandover)
}

/// What was seen between the van and the door. A person who states the end need not tell of it, and a parcel that is not on its
/// way has none.
fn scans(desk: &mut Desk<'_>, output: &Value) -> Result<(), RecordError> {
    match serde_json::from_value::<ScansOutput>(output.clone()) {
        Ok(seen) => desk.delivery(delivery::Action::RecordScans(seen.into())),
        Err(_) => Ok(()),
    }
}

fn refused(desk: &mut Desk<'_>, step: &str, code: &str, reason: &str) -> Result<(), RecordError> {
    let (code, reason) = (code.to_owned(), reason.to_owned());
    match step {
        PAY => {
            let decline = payment::Action::RecordDecline {
                code: code.clone(),
                reason: reason.clone(),
            };
            desk.payment(decline)?;
            // With a cancel under way the order ends as canceled: that is what the customer asked for.
            if desk.is_cancel_open() {
                return Ok(());
            }
            // To the customer it is one thing, whichever clock was first.
            let expired = WINDOW_CLOSED.contains(&code.as_str());
            let code = if expired {
                PAYMENT_EXPIRED.to_owned()
            } else {
                code
            };
            desk.reject(code, reason)
        }
        SHIP | REFUND if code == NOT_DONE => Ok(()),
        SHIP => desk.delivery(delivery::Action::RecordRefusal { code, reason }),
        HOLD => desk.delivery_unless_over(delivery::Action::RecordHoldRefusal { code, reason }),
        // Of a sale that stands nobody wants the money back.
        REFUND if desk.has_left() => Ok(()),
        REFUND => desk.payment(payment::Action::RecordRefundRefusal { code, reason }),
        CANCEL_DELIVERY => {
            let at_stake = desk.total()?;
            let code = NOT_CANCELED.to_owned();
            desk.delivery(delivery::Action::RecordException {
                code,
                reason,
                at_stake,
            })
        }
        TRACK if code == GAVE_UP => desk.delivery_unless_over(delivery::Action::RecordTrackingLost),
        NOTIFY | TELL if code == NOT_DONE => desk.suppress(step, "The order was canceled before."),
        NOTIFY | TELL => desk.failed(step, code, reason),
        _ => Ok(()),
    }
}

/// What a person found out is recorded as if the provider had said it.
fn decided(desk: &mut Desk<'_>, resolved: &StepResolved) -> Result<(), RecordError> {
    let step = resolved.step.as_str();
    match resolved.outcome {
        Verdict::Done if step == HANDOVER && desk.is_turned() => {
            handed_over(desk)?;
            desk.keep_sale(&resolved.reason)
        }
        Verdict::Done => done(desk, step, &resolved.evidence),
        // Its order was told so, and can be canceled as little as its parcel can be called off.
        Verdict::Undone if step == HANDOVER && desk.is_gone() => Err(RecordError {
            reason: WAS_HANDED_OVER.to_owned(),
        }),
        Verdict::Undone if matches!(step, HANDOVER | CANCEL_DELIVERY) => Ok(()),
        Verdict::Undone => refused(desk, step, "resolved-undone", &resolved.reason),
    }
}

fn parse<T: DeserializeOwned>(step: &str, output: &Value) -> Result<T, RecordError> {
    serde_json::from_value(output.clone()).map_err(|error| RecordError {
        reason: format!("what {step} came to is not in its form: {error}"),
    })
}
