//! What an order answers to a command.

use chrono::{DateTime, Utc};

use super::{
    Action, Command, Order, OrderCancelRefused, OrderCancelRequested, OrderCancelTakenBack,
    OrderCanceled, OrderDelivered, OrderEvent, OrderHandedOver, OrderPaid, OrderPending,
    OrderRejected, OrderShipped, Ordered, Place, Rejection, Status,
};
use crate::instant::to_millis;

pub(super) fn decide(
    state: Option<&Order>,
    command: &Command,
) -> Result<Vec<OrderEvent>, Rejection> {
    let at = to_millis(command.at);
    match (state, &command.action) {
        (None, Action::Place(place)) => Ok(vec![ordered(place, at).into()]),
        (None, _) => Err(Rejection::Unplaced),
        (Some(order), Action::Place(place)) if order.command_hash == place.command_hash => {
            Ok(vec![])
        }
        (Some(_), Action::Place(_)) => Err(Rejection::KeyReused),
        (Some(order), action) => At { order, at }.decide(action),
    }
}

/// An order and the time of the command to it.
struct At<'a> {
    order: &'a Order,
    at: DateTime<Utc>,
}

impl At<'_> {
    fn decide(&self, action: &Action) -> Result<Vec<OrderEvent>, Rejection> {
        match action {
            Action::Place(_) => Err(Rejection::KeyReused),
            Action::MarkPending => Ok(self.pending_if_unanswered()),
            Action::ConfirmPayment { payment_ref } => self.confirm_payment(payment_ref),
            Action::Reject { code, reason } => self.reject(code, reason),
            Action::RecordShipment { carrier, waybill } => self.ship(carrier, waybill),
            Action::RecordHandover => self.hand_over(),
            Action::RecordDelivery => self.deliver(),
            Action::RequestCancel { reason, actor } => self.request_cancel(reason, actor),
            Action::RefuseCancel { code, reason } => self.refuse_cancel(code, reason),
            Action::TakeCancelBack { code, reason } => self.take_cancel_back(code, reason),
            Action::Cancel { reason, actor } => self.cancel(reason, actor),
        }
    }

    /// Whatever ends an order that nobody was told about comes after an answer, so that a repeat of
    /// the order finds one.
    fn pending_if_unanswered(&self) -> Vec<OrderEvent> {
        match self.order.first_answer {
            Some(_) => vec![],
            None => vec![
                OrderPending {
                    order_id: self.order.order_id,
                    customer_id: self.customer(),
                    occurred_at: self.at,
                }
                .into(),
            ],
        }
    }

    fn confirm_payment(&self, payment_ref: &str) -> Result<Vec<OrderEvent>, Rejection> {
        let order = self.order;
        match (order.status, order.payment_ref.as_deref()) {
            (_, Some(recorded)) if recorded == payment_ref => Ok(vec![]),
            (Status::Rejected, _) => Err(Rejection::AlreadyRejected),
            (Status::Canceled, _) => Err(Rejection::AlreadyCanceled),
            (_, Some(recorded)) => Err(Rejection::Contradiction {
                recorded: recorded.to_owned(),
            }),
            (_, None) => Ok(vec![
                OrderPaid {
                    order_id: order.order_id,
                    customer_id: self.customer(),
                    occurred_at: self.at,
                    lines: order.lines.clone(),
                    total: order.total.amount,
                    currency: order.total.currency,
                    payment_ref: payment_ref.to_owned(),
                }
                .into(),
            ]),
        }
    }

    fn reject(&self, code: &str, reason: &str) -> Result<Vec<OrderEvent>, Rejection> {
        match self.order.status {
            Status::Rejected => Ok(vec![]),
            Status::Canceled => Err(Rejection::AlreadyCanceled),
            Status::Pending if self.order.open_cancel.is_some() => Err(Rejection::CancelOpen),
            Status::Pending => Ok(vec![
                OrderRejected {
                    order_id: self.order.order_id,
                    customer_id: self.customer(),
                    occurred_at: self.at,
                    code: code.to_owned(),
                    reason: reason.to_owned(),
                }
                .into(),
            ]),
            Status::Paid | Status::Shipped | Status::HandedOver | Status::Delivered => {
                Err(Rejection::AlreadyPaid)
            }
        }
    }

    fn ship(&self, carrier: &str, waybill: &str) -> Result<Vec<OrderEvent>, Rejection> {
        let order = self.order;
        match (order.status, &order.parcel) {
            (_, Some(parcel)) if parcel.carrier == carrier && parcel.waybill == waybill => {
                Ok(vec![])
            }
            (Status::Canceled, _) => Err(Rejection::AlreadyCanceled),
            (Status::Rejected, _) => Err(Rejection::AlreadyRejected),
            (_, Some(parcel)) => Err(Rejection::Contradiction {
                recorded: parcel.waybill.clone(),
            }),
            (Status::Paid, None) => Ok(vec![
                OrderShipped {
                    order_id: order.order_id,
                    customer_id: self.customer(),
                    occurred_at: self.at,
                    carrier: carrier.to_owned(),
                    waybill: waybill.to_owned(),
                }
                .into(),
            ]),
            (status, None) => Err(Rejection::TooEarly { status }),
        }
    }

    fn hand_over(&self) -> Result<Vec<OrderEvent>, Rejection> {
        match self.order.status {
            Status::Shipped => Ok(vec![self.handed_over()]),
            Status::HandedOver | Status::Delivered => Ok(vec![]),
            status => Err(self.not_under_way(status)),
        }
    }

    /// A carrier may tell of the arrival before it tells of the departure; the order has had both
    /// then.
    fn deliver(&self) -> Result<Vec<OrderEvent>, Rejection> {
        let delivered = OrderDelivered {
            order_id: self.order.order_id,
            customer_id: self.customer(),
            occurred_at: self.at,
        };
        match self.order.status {
            Status::Shipped => Ok(vec![self.handed_over(), delivered.into()]),
            Status::HandedOver => Ok(vec![delivered.into()]),
            Status::Delivered => Ok(vec![]),
            status => Err(self.not_under_way(status)),
        }
    }

    fn handed_over(&self) -> OrderEvent {
        OrderHandedOver {
            order_id: self.order.order_id,
            customer_id: self.customer(),
            occurred_at: self.at,
        }
        .into()
    }

    fn not_under_way(&self, status: Status) -> Rejection {
        match status {
            Status::Rejected => Rejection::AlreadyRejected,
            Status::Canceled => Rejection::AlreadyCanceled,
            status => Rejection::TooEarly { status },
        }
    }

    fn request_cancel(&self, reason: &str, actor: &str) -> Result<Vec<OrderEvent>, Rejection> {
        match self.order.status {
            Status::Canceled => Ok(vec![]),
            Status::Rejected => Err(Rejection::AlreadyRejected),
            Status::HandedOver | Status::Delivered => Err(Rejection::PastPointOfNoReturn),
            Status::Pending | Status::Paid | Status::Shipped
                if self.order.open_cancel.is_some() =>
            {
                Ok(vec![])
            }
            Status::Pending | Status::Paid | Status::Shipped => {
                let mut events = self.pending_if_unanswered();
                events.push(
                    OrderCancelRequested {
                        order_id: self.order.order_id,
                        customer_id: self.customer(),
                        occurred_at: self.at,
                        reason: reason.to_owned(),
                        actor: actor.to_owned(),
                    }
                    .into(),
                );
                Ok(events)
            }
        }
    }

    fn refuse_cancel(&self, code: &str, reason: &str) -> Result<Vec<OrderEvent>, Rejection> {
        match (&self.order.open_cancel, &self.order.cancel_refusal) {
            (Some(_), _) => Ok(vec![
                OrderCancelRefused {
                    order_id: self.order.order_id,
                    customer_id: self.customer(),
                    occurred_at: self.at,
                    code: code.to_owned(),
                    reason: reason.to_owned(),
                }
                .into(),
            ]),
            (None, Some(_)) => Ok(vec![]),
            (None, None) => Err(Rejection::NoCancelOpen),
        }
    }

    fn take_cancel_back(&self, code: &str, reason: &str) -> Result<Vec<OrderEvent>, Rejection> {
        match self.order.status {
            _ if self.order.can_stand() => Ok(vec![
                OrderCancelTakenBack {
                    order_id: self.order.order_id,
                    customer_id: self.customer(),
                    occurred_at: self.at,
                    code: code.to_owned(),
                    reason: reason.to_owned(),
                }
                .into(),
            ]),
            Status::HandedOver | Status::Delivered => Ok(vec![]),
            Status::Rejected => Err(Rejection::AlreadyRejected),
            status => Err(Rejection::TooEarly { status }),
        }
    }

    fn cancel(&self, reason: &str, actor: &str) -> Result<Vec<OrderEvent>, Rejection> {
        let order = self.order;
        match order.status {
            Status::Canceled => return Ok(vec![]),
            Status::Rejected => return Err(Rejection::AlreadyRejected),
            Status::HandedOver | Status::Delivered => return Err(Rejection::PastPointOfNoReturn),
            Status::Pending | Status::Paid | Status::Shipped => {}
        }
        let first = order.lines.first();
        let mut events = self.pending_if_unanswered();
        events.push(
            OrderCanceled {
                order_id: order.order_id,
                customer_id: self.customer(),
                occurred_at: self.at,
                book_id: first.map(|line| line.book_id.clone()).unwrap_or_default(),
                qty: first.map_or(0, |line| line.qty),
                lines: order.lines.clone(),
                total: order.total.amount,
                currency: order.total.currency,
                reason: reason.to_owned(),
                actor: actor.to_owned(),
            }
            .into(),
        );
        Ok(events)
    }

    fn customer(&self) -> String {
        self.order.customer_id.clone()
    }
}

fn ordered(place: &Place, at: DateTime<Utc>) -> Ordered {
    let order = &place.order;
    let first = order.lines.first();
    Ordered {
        order_id: place.order_id,
        customer_id: order.customer_id.clone(),
        occurred_at: at,
        book_id: first.map(|line| line.book_id.clone()).unwrap_or_default(),
        qty: first.map_or(0, |line| line.qty),
        lines: order.lines.clone(),
        shipping_fee: order.shipping_fee,
        currency: order.total.currency,
        total: order.total.amount,
        payment: place.sealed.payment.clone(),
        contact: place.sealed.contact.clone(),
        address: place.sealed.address.clone(),
        placed_at: order.placed_at,
        external_id: order.external_id.clone(),
        principal: place.principal.clone(),
        command_hash: place.command_hash.clone(),
        source: place.source.clone(),
    }
}
