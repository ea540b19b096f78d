//! A provider denies a charge that is on our books, as it does when a bank takes a deposit back. It is asked about this one
//! charge, however old it is; what it says is judged as in any comparison.

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::finding::{Finding, Kind};
use super::join;
use super::report::Action;
use super::verify::Look;
use super::{Known, Mode, Pace, Reconciler, job};
use crate::fulfilment::Fulfilment;

/// Questions that may wait to be answered. Whoever finds no room asks again at its next look.
pub(in crate::fulfilment) const WAITING: usize = 64;

/// A charge to be asked about.
pub(in crate::fulfilment) struct Question {
    pub(super) order: Uuid,
    pub(super) charge_ref: String,
    /// Where the provider does not say this time either, a person is asked.
    pub(super) last: bool,
    pub(super) answer: oneshot::Sender<Asked>,
}

/// What asking came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// The doubt is over, in one word.
    Over(&'static str),
    /// The provider does not say.
    Open,
    /// It could not be asked, or what it said could not be acted on.
    Failed(String),
}

impl Fulfilment {
    /// Answers what the sagas of denied charges ask, for as long as there is an engine.
    pub(in crate::fulfilment) fn answer(&self, mut questions: mpsc::Receiver<Question>) {
        let own = self.clone();
        self.engine
            .accompany("the doubts about charges", async move {
                while let Some(question) = questions.recv().await {
                    let reconciler = Reconciler::new(own.clone(), Pace::default());
                    own.engine.aside(async move {
                        let asked = reconciler.ask_about(&question).await;
                        // Whoever asked may have gone; what was found is acted on all the same.
                        drop(question.answer.send(asked));
                    });
                }
            });
    }
}

impl Reconciler {
    async fn ask_about(&self, question: &Question) -> Asked {
        let inside = match self.inside(&question.order.to_string()).await {
            Ok(Known::Is(Some(inside))) => inside,
            Ok(Known::Is(None)) => return Asked::Over("no-such-order"),
            Ok(Known::ForOthers) => {
                return Asked::Failed("only a newer build can read the order".to_owned());
            }
            Err(error) => return Asked::Failed(error.to_string()),
        };
        let Some(missing) = join::denied(&inside, &question.charge_ref) else {
            return Asked::Over("not-kept");
        };
        // It may be going back this moment. Whatever comes of that is the order's own affair.
        if join::money_moves(&inside.saga) {
            return Asked::Open;
        }
        let finding = match self.second_look(missing.clone(), Some(&inside)).await {
            Look::Refuted => return Asked::Over("refuted"),
            Look::Stands(finding) => *finding,
            Look::Open if question.last => unconfirmed(missing),
            Look::Open => return Asked::Open,
        };
        let why = job::own_account("the provider denied the charge");
        let acted = self
            .act(finding, Some(&inside), Mode::Automatic, &why)
            .await;
        match acted.action {
            Action::Failed(error) => Asked::Failed(error),
            _ => Asked::Over("seen-to"),
        }
    }
}

/// The provider said that no money moved, and does not take it back.
fn unconfirmed(missing: Finding) -> Finding {
    Finding {
        kind: Kind::StateMismatch,
        code: "charge-denied",
        provider: "no money moved, as it said; asked again it does not say".to_owned(),
        ..missing
    }
}
