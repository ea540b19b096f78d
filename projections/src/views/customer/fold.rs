//! How a customer's row takes the events of its order.

use std::borrow::Cow;

use aggregates::Event;
use aggregates::delivery::DeliveryEvent;
use aggregates::instant::to_millis;
use aggregates::kakao::KakaoEvent;
use aggregates::order::{OrderCanceled, OrderEvent, Ordered};
use aggregates::payment::PaymentEvent;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    CancelFacts, CustomerRow, DeliveryFacts, DeliveryStatus, MESSAGES_MAX, MISMATCHES_MAX,
    MessageFacts, MismatchFacts, OrderStatus, PaymentFacts, PaymentStatus, Refusal, TIMELINE_MAX,
    TimelineEntry, Trouble, stored, table::TABLE,
};
use crate::projection::{ApplyError, Facts, Keys, Projection};
use crate::table::{TableDef, Value};
use crate::views::message::MessageState;

/// The customer view.
#[derive(Debug)]
pub struct CustomerView;

impl Projection for CustomerView {
    type Row = CustomerRow;

    const TABLE: &'static TableDef = &TABLE;

    const CATEGORIES: &'static [&'static str] = &["order", "payment", "delivery", "kakao"];

    fn keys(event: &Event, facts: &Facts<'_>) -> Keys {
        match event {
            // A message may be about an order that is not ours.
            Event::Kakao(event) => {
                let order = event.head().order_id;
                order.and_then(|id| Uuid::try_parse(&id).ok()).into()
            }
            _ => Keys::One(facts.stream),
        }
    }

    fn apply(
        _: Uuid,
        row: &mut Option<CustomerRow>,
        event: &Event,
        facts: &Facts<'_>,
    ) -> Result<(), ApplyError> {
        if let Event::Order(OrderEvent::Ordered(event)) = event {
            if row.is_some() {
                return Err(ApplyError::RowExists);
            }
            *row = Some(placed(event, facts));
            return Ok(());
        }
        let Some(row) = row.as_mut() else {
            // Nobody's order: the message view has it all the same.
            return match event {
                Event::Kakao(_) => Ok(()),
                _ => Err(ApplyError::NoRow),
            };
        };
        let at = event.occurred_at();
        match event {
            Event::Order(event) => order(row, event, at),
            Event::Payment(event) => payment(row, event, at),
            Event::Delivery(event) => delivery(row, event, at),
            Event::Kakao(event) => message(row, event, facts.stream, at),
            Event::Subject(_) | Event::Webhook(_) | Event::Saga(_) | Event::Projection(_) => {
                return Err(ApplyError::Foreign);
            }
        }
        note(row, event.name(), at);
        row.position = facts.position;
        Ok(())
    }

    fn columns(row: &CustomerRow) -> Vec<Value<'_>> {
        let payment = row.payment.as_ref().map(|it| it.status.as_str().into());
        let delivery = row.delivery.as_ref().map(|it| it.status.as_str().into());
        let parcel = row.delivery.as_ref();
        let waybill = parcel.and_then(|parcel| parcel.waybill.as_deref());
        vec![
            Value::text(row.customer_id.as_str()),
            Value::text(row.status.as_str()),
            Value::Text(payment),
            Value::Text(delivery),
            Value::Text(waybill.map(Into::into)),
            Value::Int(Some(row.placed_at.timestamp_millis())),
            Value::Int(Some(row.position.0)),
        ]
    }

    fn is_settled(row: &CustomerRow) -> bool {
        match row.status {
            OrderStatus::Delivered | OrderStatus::Rejected => true,
            OrderStatus::Canceled => row
                .payment
                .as_ref()
                .is_none_or(|payment| payment.refunded >= payment.paid),
            _ => false,
        }
    }

    fn to_doc(row: &CustomerRow) -> serde_json::Result<String> {
        stored::write(row)
    }

    fn from_doc(doc: &str) -> serde_json::Result<CustomerRow> {
        stored::read(doc)
    }
}

fn placed(event: &Ordered, facts: &Facts<'_>) -> CustomerRow {
    let mut row = CustomerRow {
        order_id: facts.stream,
        customer_id: event.customer_id.clone(),
        status: OrderStatus::Pending,
        stage: OrderStatus::Pending,
        lines: event.lines.clone(),
        shipping_fee: event.shipping_fee,
        currency: event.currency,
        total: event.total,
        rejected: None,
        cancel: None,
        payment: None,
        delivery: None,
        messages: Vec::new(),
        timeline: Vec::new(),
        placed_at: to_millis(event.placed_at.unwrap_or(event.occurred_at)),
        ordered_at: to_millis(event.occurred_at),
        updated_at: event.occurred_at,
        position: facts.position,
    };
    note(&mut row, Ordered::NAME, event.occurred_at);
    row
}

fn order(row: &mut CustomerRow, event: &OrderEvent, at: DateTime<Utc>) {
    match event {
        OrderEvent::Ordered(_) | OrderEvent::OrderPending(_) => {}
        OrderEvent::OrderPaid(_) => reach(row, OrderStatus::Paid),
        OrderEvent::OrderShipped(event) => {
            let parcel = parcel(row, at);
            parcel.carrier = Some(event.carrier.clone());
            parcel.waybill = Some(event.waybill.clone());
            reach(row, OrderStatus::Shipped);
        }
        OrderEvent::OrderHandedOver(_) => reach(row, OrderStatus::HandedOver),
        OrderEvent::OrderDelivered(_) => reach(row, OrderStatus::Delivered),
        OrderEvent::OrderRejected(event) => {
            row.rejected = Some(refusal(&event.code, &event.reason));
            row.stage = OrderStatus::Rejected;
            row.status = OrderStatus::Rejected;
        }
        OrderEvent::OrderCancelRequested(event) => {
            row.cancel = Some(CancelFacts {
                actor: event.actor.clone(),
                reason: event.reason.clone(),
                requested_at: at,
                refused: None,
                canceled_at: None,
            });
            row.status = OrderStatus::Canceling;
        }
        OrderEvent::OrderCancelRefused(event) => {
            if let Some(cancel) = &mut row.cancel {
                cancel.refused = Some(refusal(&event.code, &event.reason));
            }
            row.status = row.stage;
        }
        OrderEvent::OrderCanceled(event) => canceled(row, event, at),
        OrderEvent::OrderCancelTakenBack(event) => {
            if let Some(cancel) = &mut row.cancel {
                cancel.canceled_at = None;
                cancel.refused = Some(refusal(&event.code, &event.reason));
            }
            reach(row, OrderStatus::HandedOver);
        }
    }
}

/// The order has come further. While a cancellation is open its outcome decides what is shown.
fn reach(row: &mut CustomerRow, stage: OrderStatus) {
    row.stage = stage;
    if row.status != OrderStatus::Canceling {
        row.status = stage;
    }
}

/// Nobody may have asked: a carrier that refuses the shipment cancels the order as well.
fn canceled(row: &mut CustomerRow, event: &OrderCanceled, at: DateTime<Utc>) {
    let cancel = row.cancel.get_or_insert_with(|| CancelFacts {
        actor: event.actor.clone(),
        reason: event.reason.clone(),
        requested_at: at,
        refused: None,
        canceled_at: None,
    });
    cancel.canceled_at = Some(at);
    row.stage = OrderStatus::Canceled;
    row.status = OrderStatus::Canceled;
}

fn payment(row: &mut CustomerRow, event: &PaymentEvent, at: DateTime<Utc>) {
    let facts = row.payment.get_or_insert(PaymentFacts {
        status: PaymentStatus::Paid,
        paid: 0,
        refunded: 0,
        provider_ref: None,
        refund_ref: None,
        refusal: None,
        mismatches: Vec::new(),
        updated_at: at,
    });
    facts.updated_at = at;
    match event {
        PaymentEvent::Paid(event) => {
            facts.status = PaymentStatus::Paid;
            facts.paid += event.amount;
            facts.provider_ref = Some(event.provider_ref.clone());
        }
        PaymentEvent::PaymentDeclined(event) => {
            facts.status = PaymentStatus::Declined;
            facts.refusal = Some(refusal(&event.code, &event.reason));
        }
        PaymentEvent::PayCanceled(event) => {
            facts.status = PaymentStatus::PayCanceled;
            facts.refunded += event.amount;
            facts.refund_ref = Some(event.refund_ref.clone());
            facts.refusal = None;
        }
        PaymentEvent::RefundRefused(event) => {
            facts.status = PaymentStatus::RefundRefused;
            facts.refusal = Some(refusal(&event.code, &event.reason));
        }
        // What was taken once too often is in both sums, and what the customer has paid in the end in their difference.
        PaymentEvent::ExcessCharged(event) => facts.paid += event.amount,
        PaymentEvent::ExcessReturned(event) => facts.refunded += event.amount,
        PaymentEvent::MismatchFound(event) => {
            if facts.mismatches.len() < MISMATCHES_MAX {
                facts.mismatches.push(MismatchFacts {
                    finding: event.finding,
                    code: event.code.clone(),
                    reason: event.reason.clone(),
                });
            }
        }
        PaymentEvent::MismatchSettled(event) => {
            facts
                .mismatches
                .retain(|known| known.finding != event.finding);
        }
    }
}

fn delivery(row: &mut CustomerRow, event: &DeliveryEvent, at: DateTime<Utc>) {
    let facts = parcel(row, at);
    match event {
        DeliveryEvent::Shipped(event) => {
            facts.status = DeliveryStatus::Shipped;
            facts.carrier = Some(event.carrier.clone());
            facts.waybill = Some(event.waybill.clone());
            facts.shipped_at = Some(at);
        }
        DeliveryEvent::ShipmentRefused(event) => {
            facts.status = DeliveryStatus::Refused;
            facts.refusal = Some(refusal(&event.code, &event.reason));
        }
        DeliveryEvent::DeliveryHeld(_) => facts.status = DeliveryStatus::Held,
        DeliveryEvent::HoldRefused(event) => {
            facts.refusal = Some(refusal(&event.code, &event.reason));
        }
        DeliveryEvent::HandedOver(_) => {
            facts.status = DeliveryStatus::HandedOver;
            facts.handed_over_at = Some(at);
        }
        DeliveryEvent::Delivered(_) => {
            facts.status = DeliveryStatus::Delivered;
            facts.delivered_at = Some(at);
        }
        DeliveryEvent::DeliveryCanceled(_) => facts.status = DeliveryStatus::DeliveryCanceled,
        DeliveryEvent::DeliveryException(event) => {
            facts.status = DeliveryStatus::Exception;
            facts.refusal = Some(refusal(&event.code, &event.reason));
        }
        DeliveryEvent::TrackingLost(_) => facts.status = DeliveryStatus::TrackingLost,
        DeliveryEvent::InTransit(event) => facts.in_transit_at = Some(event.scanned_at),
        DeliveryEvent::OutForDelivery(event) => facts.out_for_delivery_at = Some(event.scanned_at),
        DeliveryEvent::TrackingException(event) => {
            facts.trouble = Some(Trouble {
                at: event.scanned_at,
                reason: event.reason.clone(),
            });
        }
    }
}

fn parcel(row: &mut CustomerRow, at: DateTime<Utc>) -> &mut DeliveryFacts {
    let facts = row.delivery.get_or_insert(DeliveryFacts {
        status: DeliveryStatus::Shipped,
        carrier: None,
        waybill: None,
        shipped_at: None,
        handed_over_at: None,
        in_transit_at: None,
        out_for_delivery_at: None,
        delivered_at: None,
        trouble: None,
        refusal: None,
        updated_at: at,
    });
    facts.updated_at = at;
    facts
}

fn message(row: &mut CustomerRow, event: &KakaoEvent, id: Uuid, at: DateTime<Utc>) {
    let (kind, state) = match event {
        KakaoEvent::MessageRequested(event) => (event.kind, MessageState::Requested),
        KakaoEvent::SentMessage(event) => (event.kind, MessageState::Sent),
        KakaoEvent::MessageFailed(event) => (event.kind, MessageState::Failed),
        KakaoEvent::MessageSuppressed(event) => (event.kind, MessageState::Suppressed),
    };
    match row.messages.iter_mut().find(|known| known.message_id == id) {
        Some(known) => {
            known.state = state;
            known.updated_at = at;
        }
        None => row.messages.push(MessageFacts {
            message_id: id,
            kind,
            state,
            updated_at: at,
        }),
    }
    if row.messages.len() > MESSAGES_MAX {
        row.messages.remove(0);
    }
}

fn refusal(code: &str, reason: &str) -> Refusal {
    Refusal {
        code: code.to_owned(),
        reason: reason.to_owned(),
    }
}

fn note(row: &mut CustomerRow, event: &'static str, at: DateTime<Utc>) {
    row.updated_at = row.updated_at.max(at);
    if row.timeline.len() == TIMELINE_MAX {
        row.timeline.remove(0);
    }
    row.timeline.push(TimelineEntry {
        at,
        event: Cow::Borrowed(event),
    });
}
