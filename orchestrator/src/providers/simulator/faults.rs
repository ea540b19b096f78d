//! How the simulator misbehaves: by the payment token of an order, by a script that a test wrote, or because a whole
//! provider is switched off.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::ledger::{Op, Port};

/// One way for a single call to go wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The provider says no, for good, with this code.
    Refuse(&'static str),
    /// It happens, but the answer is lost: the adapter waits out its time limit.
    LoseReply,
    /// The request is lost on its way: nothing happens, the adapter waits out its time limit.
    LoseRequest,
    /// No connection: surely not sent.
    Unreachable,
    /// The provider takes this long before it acts and answers. Longer than the adapter's time limit, it acts all the same.
    Slow(Duration),
}

/// What a payment token asks for. Anything that is not one of these words is a card that works.
///
/// | token | what the payment provider does |
/// |---|---|
/// | `decline` | refuses every charge with `card-declined` |
/// | `timeout-charged` | charges at the first call, whose answer is lost; look-ups and repeats of the key are answered |
/// | `timeout-uncharged` | loses the first call of a key, nothing is charged; the second call of the key works |
/// | `slow-<ms>` | takes that many milliseconds before it charges and answers |
/// | `down` | cannot be reached, however often it is called |
/// | `amount-<n>` | has had so many won authenticated, and charges nothing else |
/// | `authenticated-<s>` | had it authenticated at that second of Unix time, and charges it within ten minutes of that only |
/// | `order-<id>` | had it authenticated for the order of that id, and charges it for no other |
///
/// A colon and anything may follow a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Good,
    Decline,
    TimeoutCharged,
    TimeoutUncharged,
    Slow(Duration),
    Down,
    Amount(i64),
    AuthenticatedAt(DateTime<Utc>),
    Order(Uuid),
}

/// What a token says of what its customer has authenticated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Authenticated {
    pub(super) amount: Option<i64>,
    pub(super) at: Option<DateTime<Utc>>,
    pub(super) order: Option<Uuid>,
}

impl Token {
    fn parse(text: &str) -> Self {
        // Real tokens are unique; behind the word may be whatever makes this one so.
        let word = text.split_once(':').map_or(text, |(word, _)| word);
        match word {
            "decline" => Self::Decline,
            "timeout-charged" => Self::TimeoutCharged,
            "timeout-uncharged" => Self::TimeoutUncharged,
            "down" => Self::Down,
            _ => Self::with_id(word)
                .or_else(|| Self::with_number(word))
                .unwrap_or(Self::Good),
        }
    }

    fn with_id(word: &str) -> Option<Self> {
        let id = word.strip_prefix("order-")?;
        Uuid::try_parse(id).ok().map(Self::Order)
    }

    fn with_number(word: &str) -> Option<Self> {
        let number = |prefix| word.strip_prefix(prefix)?.parse::<u32>().ok();
        if let Some(ms) = number("slow-") {
            return Some(Self::Slow(Duration::from_millis(ms.into())));
        }
        if let Some(amount) = number("amount-") {
            return Some(Self::Amount(amount.into()));
        }
        let at = DateTime::from_timestamp(number("authenticated-")?.into(), 0)?;
        Some(Self::AuthenticatedAt(at))
    }
}

/// Everything that is to go wrong.
#[derive(Debug, Default)]
pub(super) struct Faults {
    scripted: HashMap<(Op, String), VecDeque<Fault>>,
    /// Keys whose first call met a time-out token. Forgotten at a restart, which costs such an order one more time-out.
    timed_out: HashSet<String>,
    outages: HashSet<Port>,
}

impl Faults {
    /// Adds a fault for the next call of `op` for `subject` (an order id, or a message id for [`Op::Send`]).
    pub(super) fn script(&mut self, op: Op, subject: &str, fault: Fault) {
        self.scripted
            .entry((op, subject.to_owned()))
            .or_default()
            .push_back(fault);
    }

    pub(super) fn set_outage(&mut self, port: Port, down: bool) {
        if down {
            self.outages.insert(port);
        } else {
            self.outages.remove(&port);
        }
    }

    pub(super) fn is_down(&self, port: Port) -> bool {
        self.outages.contains(&port)
    }

    /// The fault of the next call, if any: outages first, then the script.
    pub(super) fn next(&mut self, port: Port, op: Op, subject: &str) -> Option<Fault> {
        if self.is_down(port) {
            return Some(Fault::Unreachable);
        }
        if self.scripted.is_empty() {
            return None;
        }
        let place = (op, subject.to_owned());
        let queue = self.scripted.get_mut(&place)?;
        let fault = queue.pop_front();
        if queue.is_empty() {
            self.scripted.remove(&place);
        }
        fault
    }

    /// The fault that the token of a charge asks for at this call of `key`.
    pub(super) fn of_token(&mut self, token: &str, key: &str) -> Option<Fault> {
        match Token::parse(token) {
            Token::Good | Token::Amount(_) | Token::AuthenticatedAt(_) | Token::Order(_) => None,
            Token::Decline => Some(Fault::Refuse("card-declined")),
            Token::TimeoutCharged => self.first_call(key).then_some(Fault::LoseReply),
            Token::TimeoutUncharged => self.first_call(key).then_some(Fault::LoseRequest),
            Token::Slow(delay) => Some(Fault::Slow(delay)),
            Token::Down => Some(Fault::Unreachable),
        }
    }

    /// What the token says of what was authenticated.
    pub(super) fn authenticated(token: &str) -> Authenticated {
        let mut told = Authenticated::default();
        match Token::parse(token) {
            Token::Amount(amount) => told.amount = Some(amount),
            Token::AuthenticatedAt(at) => told.at = Some(at),
            Token::Order(order) => told.order = Some(order),
            _ => {}
        }
        told
    }

    /// Whether the token is one of the words itself, which many orders share.
    pub(super) fn is_word(token: &str) -> bool {
        !token.contains(':') && Token::parse(token) != Token::Good
    }

    /// True once per key; the second call also forgets the key, so that the set stays small.
    fn first_call(&mut self, key: &str) -> bool {
        !self.timed_out.remove(key) && self.timed_out.insert(key.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_begins_with_no_known_word_is_a_card_that_works() {
        for token in ["tok_visa", "slow-", "slow-x", "declined", ""] {
            assert_eq!(Faults::default().of_token(token, "k"), None, "{token}");
        }
        let declined = Faults::default().of_token("decline:order-7", "k");
        assert_eq!(declined, Some(Fault::Refuse("card-declined")));
        let slow = Fault::Slow(Duration::from_millis(250));
        assert_eq!(Faults::default().of_token("slow-250", "k"), Some(slow));
    }

    #[test]
    fn a_time_out_token_loses_only_the_first_call_of_a_key() {
        let mut faults = Faults::default();
        assert_eq!(
            faults.of_token("timeout-charged", "a"),
            Some(Fault::LoseReply)
        );
        assert_eq!(faults.of_token("timeout-charged", "a"), None);
        assert_eq!(
            faults.of_token("timeout-uncharged", "b"),
            Some(Fault::LoseRequest)
        );
        assert_eq!(faults.of_token("timeout-uncharged", "b"), None);
    }

    #[test]
    fn an_outage_comes_before_the_script() {
        let mut faults = Faults::default();
        faults.script(Op::Hold, "o", Fault::LoseReply);
        faults.set_outage(Port::Carrier, true);
        assert_eq!(
            faults.next(Port::Carrier, Op::Hold, "o"),
            Some(Fault::Unreachable)
        );
        faults.set_outage(Port::Carrier, false);
        assert_eq!(
            faults.next(Port::Carrier, Op::Hold, "o"),
            Some(Fault::LoseReply)
        );
        assert_eq!(faults.next(Port::Carrier, Op::Hold, "o"), None);
    }
}
