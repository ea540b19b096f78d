//! What customers have authenticated: a payment is to be confirmed soon, and for the order and the amount that were shown to them.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::faults::Authenticated;

/// An authenticated payment is to be confirmed within this time.
const WINDOW: TimeDelta = TimeDelta::minutes(10);

/// Payments whose first sight is remembered.
const SEEN: usize = 100_000;

/// When payments were first seen. They were authenticated by then, so for those whose token does not say more their time
/// begins there; it is noted, so that it does not begin anew with the process.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    first: HashMap<Uuid, DateTime<Utc>>,
    order: VecDeque<Uuid>,
}

impl Sessions {
    /// When the payment was first seen.
    pub(super) fn first(&self, payment: Uuid) -> Option<DateTime<Utc>> {
        self.first.get(&payment).copied()
    }

    /// It was seen.
    pub(super) fn saw(&mut self, payment: Uuid, at: DateTime<Utc>) {
        if self.first.contains_key(&payment) {
            return;
        }
        if self.order.len() >= SEEN
            && let Some(old) = self.order.pop_front()
        {
            self.first.remove(&old);
        }
        self.order.push_back(payment);
        self.first.insert(payment, at);
    }
}

/// Why a charge of this amount for this order is not what the customer has authenticated, or is not any more.
pub(super) fn objection(
    authenticated: Authenticated,
    first_seen: DateTime<Utc>,
    (order, amount): (Option<Uuid>, i64),
    now: DateTime<Utc>,
) -> Option<&'static str> {
    let since = authenticated.at.unwrap_or(first_seen);
    if now > since + WINDOW {
        return Some("payment-window-closed");
    }
    if authenticated.order.is_some() && authenticated.order != order {
        return Some("another-order-authenticated");
    }
    let other = authenticated.amount.is_some_and(|shown| shown != amount);
    other.then_some("another-amount-authenticated")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An order without a name of ours, and what it costs.
    const THIS: (Option<Uuid>, i64) = (None, 1);

    #[test]
    fn a_payment_may_be_confirmed_for_ten_minutes_from_its_first_sight_or_from_what_its_token_says()
    {
        let (now, any) = (Utc::now(), Authenticated::default());
        let ago = |minutes| now - TimeDelta::minutes(minutes);
        assert_eq!(objection(any, ago(10), THIS, now), None);
        assert_eq!(
            objection(any, ago(11), THIS, now),
            Some("payment-window-closed")
        );
        let told = |at| Authenticated {
            at: Some(at),
            ..any
        };
        assert_eq!(objection(told(ago(9)), ago(11), THIS, now), None);
        assert_eq!(
            objection(told(ago(11)), now, THIS, now),
            Some("payment-window-closed")
        );
    }

    #[test]
    fn a_payment_that_was_authenticated_for_one_order_is_confirmed_for_no_other() {
        let (now, order) = (Utc::now(), Uuid::now_v7());
        let told = Authenticated {
            order: Some(order),
            ..Authenticated::default()
        };
        assert_eq!(objection(told, now, (Some(order), 1), now), None);
        let other = Some("another-order-authenticated");
        assert_eq!(objection(told, now, (Some(Uuid::nil()), 1), now), other);
        assert_eq!(objection(told, now, THIS, now), other);
    }

    #[test]
    fn the_first_sight_stays_the_first() {
        let (mut sessions, payment, now) = (Sessions::default(), Uuid::nil(), Utc::now());
        sessions.saw(payment, now);
        sessions.saw(payment, now + TimeDelta::minutes(5));
        assert_eq!(sessions.first(payment), Some(now));
    }
}
