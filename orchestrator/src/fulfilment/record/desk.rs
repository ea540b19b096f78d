//! Where the events of one transition are collected: every one is decided on top of those before it.

use aggregates::delivery::{self, Delivery};
use aggregates::kakao::{self, Kind, Message, Notice};
use aggregates::money::Money;
use aggregates::order::{self, Order, Status};
use aggregates::payment::{self, Charge, Payment};
use aggregates::saga::{CauseKind, NOT_DONE, Standing, State, Step};
use aggregates::{Decider, Event, ids};
use chrono::{DateTime, Utc};
use eventstore::{Category, Expected, StreamAppend};
use uuid::Uuid;

use super::{NOTIFY, SentOutput};
use crate::execute::{Aggregate, to_stream};
use crate::fulfilment::facts::Facts;
use crate::fulfilment::messages::attempts;
use crate::saga::definition::{RecordError, Transition};
use crate::saga::history::History;

/// Who acts where no person does.
const SYSTEM: &str = "system";

/// The occurrence of a message that an order has one of.
const ONLY: &str = "1";

pub(super) struct Desk<'a> {
    history: &'a History,
    transition: &'a Transition<'a>,
    facts: Facts,
    order: Vec<Event>,
    payment: Vec<Event>,
    delivery: Vec<Event>,
    messages: Vec<(Uuid, Event)>,
}

impl<'a> Desk<'a> {
    pub(super) fn open(
        history: &'a History,
        transition: &'a Transition<'a>,
    ) -> Result<Self, RecordError> {
        let facts = Facts::fold(history.events()).map_err(RecordError::of)?;
        Ok(Self {
            history,
            transition,
            facts,
            order: Vec::new(),
            payment: Vec::new(),
            delivery: Vec::new(),
            messages: Vec::new(),
        })
    }

    /// Everything collected, stream by stream.
    pub(super) fn close(self) -> Vec<StreamAppend> {
        let id = self.transition.saga_id;
        // The order last: it is told of what its money and its parcel have done.
        let own = [
            (Payment::CATEGORY, self.payment),
            (Delivery::CATEGORY, self.delivery),
            (Order::CATEGORY, self.order),
        ];
        let mut appends: Vec<_> = own
            .into_iter()
            .filter(|(_, events)| !events.is_empty())
            .map(|(category, events)| self.history.append(category, id, events))
            .collect();
        // A message's stream is written by this saga alone, whose own stream is the condition of every append.
        let messages = self.messages.into_iter();
        appends.extend(messages.map(|(message, event)| {
            to_stream(Message::CATEGORY, message, Expected::Any, [event], id)
        }));
        appends
    }

    /// Whether the customer's request to cancel waits for its answer, this append's own events included.
    pub(super) fn is_cancel_open(&self) -> bool {
        let order = self.facts.order.as_ref();
        order.is_some_and(|order| order.open_cancel.is_some())
    }

    /// Whether the parcel must not leave any more, as far as the carrier promised.
    pub(super) fn is_held_back(&self) -> bool {
        let held = [delivery::Status::Held, delivery::Status::Canceled];
        self.facts
            .delivery
            .as_ref()
            .is_some_and(|delivery| held.contains(&delivery.status))
    }

    /// Whether the parcel is with the carrier.
    pub(super) fn is_gone(&self) -> bool {
        let delivery = self.facts.delivery.as_ref();
        delivery.is_some_and(Delivery::has_left)
    }

    /// Whether it is a sale whose parcel is out of our hands.
    pub(super) fn has_left(&self) -> bool {
        let order = self.facts.order.as_ref();
        order.is_some_and(|order| matches!(order.status, Status::HandedOver | Status::Delivered))
    }

    pub(super) fn total(&self) -> Result<Money, RecordError> {
        Ok(self.placed()?.total)
    }

    /// The charge that is to go back.
    pub(super) fn kept(&self) -> Result<Charge, RecordError> {
        let payment = self.facts.payment.as_ref();
        // Once it went back it is the last one: a repeated refund is then found to be on record.
        let charge = payment.and_then(|payment| payment.kept().or_else(|| payment.last()));
        charge.cloned().ok_or_else(|| RecordError {
            reason: "nothing was charged".to_owned(),
        })
    }

    /// Whether the order is or was paid by other charges than this one.
    pub(super) fn has_others(&self, reference: &str) -> bool {
        let payment = self.facts.payment.as_ref();
        let paying = payment.map(|payment| payment.charges.iter().filter(|charge| !charge.excess));
        let mut paying = paying.into_iter().flatten().peekable();
        paying.peek().is_some() && paying.all(|charge| charge.provider_ref != reference)
    }

    pub(super) fn order(&mut self, action: order::Action) -> Result<(), RecordError> {
        let command = order::Command {
            at: self.at(),
            action,
        };
        let events = Order::decide(&self.facts.order, &command).map_err(RecordError::of)?;
        self.note_order(events)
    }

    /// What an order that is rejected or canceled has no use for, and gets late all the same.
    pub(super) fn order_unless_over(&mut self, action: order::Action) -> Result<(), RecordError> {
        if matches!(self.placed()?.status, Status::Rejected | Status::Canceled) {
            return Ok(());
        }
        self.order(action)
    }

    pub(super) fn reject(&mut self, code: String, reason: String) -> Result<(), RecordError> {
        self.order_unless_over(order::Action::Reject { code, reason })
    }

    /// In the words of whoever asked, or of the provider whose refusal left no other way.
    pub(super) fn cancel_order(&mut self) -> Result<(), RecordError> {
        let state = self.transition.after;
        let asked = state.cancel.as_ref().filter(|_| {
            state
                .unwind
                .as_ref()
                .is_some_and(|unwind| unwind.cause.kind == CauseKind::Cancel)
        });
        let (reason, actor) = match (asked, &state.unwind) {
            (Some(asked), _) => (asked.reason.clone(), asked.actor.clone()),
            (None, Some(unwind)) => (unwind.cause.reason.clone(), SYSTEM.to_owned()),
            (None, None) => (String::new(), SYSTEM.to_owned()),
        };
        self.order(order::Action::Cancel { reason, actor })
    }

    /// Whether the saga is on its way back.
    pub(super) fn is_turned(&self) -> bool {
        self.transition.after.unwind.is_some()
    }

    /// The parcel is gone for good, and that is on record: a request to cancel that is still open is refused, and as long as the
    /// money is there the sale stands, whatever was said of it before. Money that went back stays back.
    pub(super) fn keep_sale(&mut self, reason: &str) -> Result<(), RecordError> {
        let (code, reason) = (super::SCAN_AFTER_HOLD.to_owned(), reason.to_owned());
        let payment = self.facts.payment.as_ref();
        let is_paid = payment.is_some_and(|payment| payment.kept().is_some());
        let held = delivery::Status::Held;
        let delivery = self.facts.delivery.as_ref();
        if is_paid && delivery.is_some_and(|delivery| delivery.status == held) {
            self.delivery(delivery::Action::RecordHandover)?;
        }
        if self.is_cancel_open() {
            self.order(order::Action::RefuseCancel { code, reason })?;
            return self.order(order::Action::RecordHandover);
        }
        if is_paid && self.placed()?.can_stand() {
            return self.order(order::Action::TakeCancelBack { code, reason });
        }
        Ok(())
    }

    pub(super) fn payment(&mut self, action: payment::Action) -> Result<(), RecordError> {
        let (order_id, customer_id) = self.whose()?;
        let command = payment::Command {
            order_id,
            customer_id,
            at: self.at(),
            action,
        };
        let events = Payment::decide(&self.facts.payment, &command).map_err(RecordError::of)?;
        for event in events {
            let event = Event::from(event);
            self.learn(&event)?;
            self.payment.push(event);
        }
        Ok(())
    }

    pub(super) fn delivery(&mut self, action: delivery::Action) -> Result<(), RecordError> {
        let (order_id, customer_id) = self.whose()?;
        let command = delivery::Command {
            order_id,
            customer_id,
            at: self.at(),
            action,
        };
        let events = Delivery::decide(&self.facts.delivery, &command).map_err(RecordError::of)?;
        for event in events {
            let event = Event::from(event);
            self.learn(&event)?;
            self.delivery.push(event);
        }
        Ok(())
    }

    /// What a parcel that is held or called off has no use for.
    pub(super) fn delivery_unless_over(
        &mut self,
        action: delivery::Action,
    ) -> Result<(), RecordError> {
        if self.is_held_back() {
            Ok(())
        } else {
            self.delivery(action)
        }
    }

    pub(super) fn request(&mut self, step: &str) -> Result<(), RecordError> {
        self.message(step, kakao::Action::Request)
    }

    /// A message that was suppressed is wanted after all.
    pub(super) fn request_again(&mut self, step: &str) -> Result<(), RecordError> {
        self.message(step, kakao::Action::RequestAgain)
    }

    /// Whether a step was given up as not done before these events.
    pub(super) fn was_closed(&self, step: &str) -> bool {
        let step = self.transition.before.step(step);
        step.is_some_and(
            |step| matches!(&step.standing, Standing::Refused { code, .. } if code == NOT_DONE),
        )
    }

    /// Whether these events give a step another chance.
    pub(super) fn is_renewed(&self, step: &str) -> bool {
        let round = |state: &State| state.step(step).map_or(0, |step| step.round);
        round(self.transition.after) > round(self.transition.before)
    }

    /// Whether these events take back that a step was refused.
    pub(super) fn is_reopened(&self, step: &str) -> bool {
        let settled = |state: &State| state.step(step).is_some_and(Step::is_settled);
        settled(self.transition.before) && !settled(self.transition.after)
    }

    pub(super) fn sent(&mut self, step: &str, sent: SentOutput) -> Result<(), RecordError> {
        let sent = sent.dispatch(attempts(self.transition.after, step));
        self.message(step, kakao::Action::RecordSent(sent))
    }

    pub(super) fn failed(
        &mut self,
        step: &str,
        code: String,
        reason: String,
    ) -> Result<(), RecordError> {
        let attempts = attempts(self.transition.after, step);
        self.message(
            step,
            kakao::Action::RecordFailure {
                code,
                reason,
                attempts,
            },
        )
    }

    pub(super) fn suppress(&mut self, step: &str, reason: &str) -> Result<(), RecordError> {
        self.message(
            step,
            kakao::Action::Suppress {
                reason: reason.to_owned(),
            },
        )
    }

    /// The saga knows what it has said of a message: a step that is done is not recorded again, and whatever else is
    /// recorded can follow an empty stream as well as a requested message.
    fn message(&mut self, step: &str, action: kakao::Action) -> Result<(), RecordError> {
        if self.transition.before.is_done(step) {
            return Ok(());
        }
        let notice = notice(&self.facts, step).ok_or_else(|| RecordError {
            reason: "there is no order to tell of".to_owned(),
        })?;
        let id = notice.id;
        let command = kakao::Command {
            notice,
            at: self.at(),
            action,
        };
        let events = Message::decide(&None, &command).map_err(RecordError::of)?;
        self.messages
            .extend(events.into_iter().map(|event| (id, Event::from(event))));
        Ok(())
    }

    fn note_order(&mut self, events: Vec<order::OrderEvent>) -> Result<(), RecordError> {
        for event in events {
            let event = Event::from(event);
            self.learn(&event)?;
            self.order.push(event);
        }
        Ok(())
    }

    fn learn(&mut self, event: &Event) -> Result<(), RecordError> {
        self.facts = std::mem::take(&mut self.facts)
            .evolve(event)
            .map_err(RecordError::of)?;
        Ok(())
    }

    fn placed(&self) -> Result<&Order, RecordError> {
        let missing = || RecordError {
            reason: "there is no such order".to_owned(),
        };
        self.facts.order.as_ref().ok_or_else(missing)
    }

    fn whose(&self) -> Result<(Uuid, String), RecordError> {
        let order = self.placed()?;
        Ok((order.order_id, order.customer_id.clone()))
    }

    fn at(&self) -> DateTime<Utc> {
        self.transition.at
    }
}

/// The message that a step sends.
pub(in crate::fulfilment) fn notice(facts: &Facts, step: &str) -> Option<Notice> {
    let order = facts.order.as_ref()?;
    let (name, customer) = (order.order_id.to_string(), order.customer_id.clone());
    if step == NOTIFY {
        let id = ids::message_id(&name, Kind::Shipped, ONLY);
        return Some(Notice::shipped(id, name, customer));
    }
    let id = ids::message_id(&name, Kind::Canceled, ONLY);
    let back = facts
        .payment
        .as_ref()
        .filter(|payment| payment.refunded() > 0);
    let back = back.map(|payment| Money::new(payment.refunded(), order.total.currency).to_string());
    Some(Notice::canceled(id, name, customer, back.as_deref()))
}

impl History {
    fn append(&self, category: Category, id: Uuid, events: Vec<Event>) -> StreamAppend {
        let expected = self.expected(&category);
        to_stream(category, id, expected, events, id)
    }
}
