//! What the broker does not let this process do. A message that may not be sent is answered by nothing where it is waited for: the
//! refusal comes on its own, names the subject, and comes with each message anew.

use std::fmt;
use std::time::{Duration, Instant};

/// Whoever waits in vain asks again within this, and is refused again.
const LATELY: Duration = Duration::from_secs(15);

/// What was refused within this time is no news.
const KNOWN_FOR: Duration = Duration::from_secs(300);

/// What a refusal begins with.
const VIOLATION: &str = "permissions violation for ";

/// A kind of messages that is not let through, in words that are the same for all of the kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Denied {
    /// `Publish to` or `Subscription to`.
    verb: String,
    /// What all the subjects begin with.
    family: String,
}

/// All that were refused of late.
#[derive(Debug, Default)]
pub(super) struct Denials(Vec<(Denied, Instant)>);

impl Denied {
    /// `None`: it is an error of another kind.
    pub(super) fn read(error: &str) -> Option<Denied> {
        let begins = error.get(..VIOLATION.len())?;
        if !begins.eq_ignore_ascii_case(VIOLATION) {
            return None;
        }
        let mut parts = error[VIOLATION.len()..].split('"');
        let verb = parts.next()?.trim().to_owned();
        let subject = parts.next()?;
        Some(Denied {
            verb,
            family: family_of(subject),
        })
    }
}

/// As many words of a subject as say what it is for.
fn family_of(subject: &str) -> String {
    let words = match subject.split('.').next() {
        Some("$JS") if subject.starts_with("$JS.API.") => 3,
        Some("_INBOX") => 1,
        _ => 2,
    };
    let words: Vec<_> = subject.split('.').take(words).collect();
    words.join(".")
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Denied { verb, family } = self;
        write!(
            f,
            "not permitted: the broker does not let this process do \"{verb} {family}.>\"; give its account the permission"
        )
    }
}

impl Denials {
    /// Whether that is news.
    pub(super) fn note(&mut self, denied: Denied, now: Instant) -> bool {
        self.0.retain(|(_, at)| now - *at < KNOWN_FOR);
        let known = self.0.iter_mut().find(|(known, _)| *known == denied);
        if let Some((_, at)) = known {
            *at = now;
            return false;
        }
        self.0.push((denied, now));
        true
    }

    /// What was refused just now, of what begins like this.
    pub(super) fn lately(&self, families: &[&str], now: Instant) -> Option<&Denied> {
        let of = |denied: &Denied| families.contains(&denied.family.as_str());
        let lately = self.0.iter().filter(|(_, at)| now - *at < LATELY);
        lately.map(|(denied, _)| denied).find(|denied| of(denied))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(subject: &str) -> Denied {
        let error = format!("Permissions Violation for Publish to \"{subject}\"");
        Denied::read(&error).expect("a refusal")
    }

    #[test]
    fn a_refusal_says_what_to_permit_and_is_news_once_for_all_of_its_kind() {
        let (mut denials, start) = (Denials::default(), Instant::now());
        let families = ["bookmarket.events"];
        assert_eq!(denials.lately(&families, start), None);
        assert!(denials.note(denied("bookmarket.events.order.Placed"), start));
        let again = start + LATELY * 2;
        assert!(!denials.note(denied("bookmarket.events.payment.Paid"), again));
        assert!(denials.note(denied("bookmarket.wakeups.saga"), again));
        let told = denials.lately(&families, again).expect("just now");
        let told = told.to_string();
        assert!(
            told.contains("\"Publish to bookmarket.events.>\""),
            "{told}"
        );
        assert_eq!(denials.lately(&families, again + LATELY), None);
        assert!(denials.note(denied("bookmarket.events.order.Placed"), again + KNOWN_FOR));
    }

    #[test]
    fn whatever_the_broker_says_of_permissions_is_read() {
        let inbox = "Permissions Violation for Subscription to \"_INBOX.a.b\"";
        let inbox = Denied::read(inbox).expect("a refusal");
        assert_eq!(inbox.verb, "Subscription to");
        assert_eq!(inbox.family, "_INBOX");
        assert_eq!(denied("$JS.API.STREAM.INFO.S").family, "$JS.API.STREAM");
        assert_eq!(denied("$JS.ACK.S.c.1.2.3.4.5").family, "$JS.ACK");
        assert_eq!(denied("hello").family, "hello");
        for other in ["", "Stale Connection", "Permissions Violation for x"] {
            assert_eq!(Denied::read(other), None, "{other}");
        }
    }
}
