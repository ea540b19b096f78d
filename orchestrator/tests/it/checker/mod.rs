//! The outside checker: reads the providers' ledger, the pages of the log and the views over HTTP and says where they break
//! what the product promises. It knows the documented JSON and nothing else: no type, no fold, no name of the product's code
//! is used here, so that a mistake in those cannot hide itself.

mod books;
mod dossier;
mod evidence;
mod gather;
mod log;
mod messages;
mod money;
mod planted;
mod rest;
mod told;
mod views;

use std::fmt;

use dossier::dossiers;
pub(crate) use evidence::{Asked, Evidence, Reply};
pub(crate) use gather::{events, gather, rows};

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Which promise is broken.
    pub(crate) rule: Rule,
    /// Of which order, stream or message.
    pub(crate) subject: String,
    /// How.
    pub(crate) what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}: {}", self.rule, self.subject, self.what)
    }
}

/// The promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// Positions are 1..n, versions of every stream 1..k, the ledger's sequence 1..m.
    Dense,
    /// Whatever a customer was told of is in the log.
    Lost,
    /// Never two charges at once for one order.
    DoubleCharge,
    /// Never more money back than was taken.
    OverRefund,
    /// Never two parcels for one order.
    ShippedTwice,
    /// Nothing is shipped that was not paid.
    Unpaid,
    /// No money back for a parcel that has left.
    RefundAfterHandover,
    /// In the end: all money and a parcel, or neither, or a person has it.
    Unsettled,
    /// A person has only what somebody outside said no to, and is told why and what is at stake.
    Parked,
    /// Ledger and log tell of the same effects.
    Books,
    /// Whatever is not over is due some time.
    NoDueTime,
    /// A view shows what the events say.
    View,
    /// No answer contradicts another one or what happened.
    Contradiction,
    /// One message, one send.
    MessageTwice,
}

/// Everything that is wrong, sorted.
pub(crate) fn check(evidence: &Evidence) -> Vec<Finding> {
    let mut found = Findings::default();
    log::check(evidence, &mut found);
    for dossier in dossiers(evidence).values() {
        money::check(dossier, &mut found);
        books::check(dossier, &mut found);
        rest::check(dossier, &mut found);
        told::check(dossier, &mut found);
        views::check_order(dossier, &mut found);
    }
    views::check_sagas(evidence, &mut found);
    messages::check(evidence, &mut found);
    found.0.sort();
    found.0
}

/// The start of a list of findings, for a test that fails.
pub(crate) fn tell(findings: &[Finding]) -> String {
    let lines = findings
        .iter()
        .take(20)
        .map(|finding| format!("{finding}\n"));
    format!("{} findings\n{}", findings.len(), lines.collect::<String>())
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, rule: Rule, subject: &str, what: impl Into<String>) {
        let (subject, what) = (subject.to_owned(), what.into());
        self.0.push(Finding {
            rule,
            subject,
            what,
        });
    }
}
