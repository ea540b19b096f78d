//! What providers tell of their own accord. It is written down and passed on as a hint: the provider is asked before
//! anything moves, so that a lie, a repeat or an old story costs a question and nothing else.
//!
//! A hint about something that the log does not know yet is kept by a saga of its own ([`saga`]), which looks again until
//! it does, or gives up.

mod claim;
pub(super) mod saga;
mod target;

use aggregates::ids;
use aggregates::webhook::WebhookReceived;
use chrono::{DateTime, Utc};
use eventstore::{AppendError, Category, Expected, ReadError};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::Fulfilment;
use super::facts::Facts;
use super::reconcile::denial;
use super::steps::*;
use crate::execute::to_stream;
use crate::saga::engine::StartError;
use crate::saga::verbs::Request;
use crate::saga::view::{LoadError, Snapshot};
pub use claim::{Claim, Claimed};
pub use target::About;
pub(super) use target::Targets;

/// The streams of deliveries.
const WEBHOOK: Category = Category::from_static("webhook");

/// Who speaks where a provider does.
const ACTOR: &str = "webhook";

/// Hints that may wait to be passed on. More are dropped and counted: whatever waits for a provider also looks by itself.
pub(super) const WAITING: usize = 4096;

/// What kind of provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// It takes money.
    Payments,
    /// It moves parcels.
    Deliveries,
    /// It sends messages.
    Kakao,
}

impl Port {
    /// All of them.
    pub const ALL: [Port; 3] = [Port::Payments, Port::Deliveries, Port::Kakao];

    /// The word on the wire and in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Payments => "payments",
            Self::Deliveries => "deliveries",
            Self::Kakao => "kakao",
        }
    }
}

/// What one webhook says. Nothing else of it is kept, and of this only what is no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// What kind of provider speaks.
    pub port: Port,
    /// Which one.
    pub provider: &'static str,
    /// Its name for this delivery: a second one with the same name is the same.
    pub delivery: String,
    /// The name was made by us for want of one, so that a repeat may be news.
    pub unnamed: bool,
    /// Its word for what happened.
    pub topic: String,
    /// Its word for what has become of it, where it says one.
    pub status: Option<String>,
    /// What it is about.
    pub about: About,
    /// What it claims, where that can be held against our books.
    pub claim: Option<Claim>,
}

/// What became of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is in the log, and whoever waits for it is told.
    PassedOn,
    /// It is in the log, and nobody here is concerned.
    Noted,
    /// It is in the log; what it is about is looked for from now on.
    Kept,
    /// It was in the log before.
    Repeated,
}

/// Why a webhook is not known to be in the log. The provider sends it again.
#[derive(Debug, thiserror::Error)]
pub enum HearError {
    /// What it is about cannot be looked up.
    #[error("what the webhook is about cannot be looked up")]
    Read(#[from] ReadError),
    /// It cannot be stored.
    #[error("the webhook cannot be stored")]
    Append(#[source] AppendError),
    /// It cannot be kept for later.
    #[error("the webhook cannot be kept for later")]
    Keep(#[source] StartError),
}

/// Something to be passed on.
#[derive(Debug, Clone)]
pub(super) struct Hint {
    pub(super) port: Port,
    pub(super) saga: Uuid,
    pub(super) claim: Option<Claim>,
    pub(super) topic: String,
}

impl Fulfilment {
    /// Writes down what a provider said, then passes it on.
    pub async fn hear(&self, heard: Heard) -> Result<Taken, HearError> {
        let id = ids::webhook_id(heard.provider, &heard.delivery);
        let target = self.targets.find(&heard.about).await?;
        let received = received(&heard, target, Utc::now());
        let stream = to_stream(WEBHOOK, id, Expected::NoStream, [received], id);
        let is_new = match self.begins(&heard, target).await? {
            Some((saga, input)) => match self.engine.start(saga, id, input, vec![stream]).await {
                Ok(_) if target.is_none() => return Ok(Taken::Kept),
                Ok(_) => true,
                Err(StartError::Exists) => false,
                Err(error) => return Err(HearError::Keep(error)),
            },
            None => match self.store.append(vec![stream]).await {
                Ok(_) => true,
                Err(AppendError::Conflict { .. }) => false,
                Err(error) => return Err(HearError::Append(error)),
            },
        };
        // A repeat may be all that is left of a delivery that was written down and then cut off, so it is passed on as well.
        let passed_on = target.is_some();
        if let Some(saga) = target {
            let (port, claim, topic) = (heard.port, heard.claim, heard.topic);
            self.targets.pass_on(Hint {
                port,
                saga,
                claim,
                topic,
            });
        }
        Ok(match (is_new, passed_on) {
            (false, _) => Taken::Repeated,
            (true, true) => Taken::PassedOn,
            (true, false) => Taken::Noted,
        })
    }

    /// The saga that is to begin in the same append as the webhook, since nobody else would remember what it says: that it is
    /// about something which is not there yet, or that a charge of ours is denied.
    async fn begins(
        &self,
        heard: &Heard,
        target: Option<Uuid>,
    ) -> Result<Option<(&'static str, Value)>, HearError> {
        let Some(order_id) = target else {
            let (about, topic) = (&heard.about, &heard.topic);
            let input = json!({ "port": heard.port.as_str(), "topic": topic, "about": about });
            return Ok(about.may_come().then_some((saga::NAME, input)));
        };
        let claim = heard.claim.as_ref();
        let Some(claim) = claim.filter(|it| it.state == Claimed::Nothing) else {
            return Ok(None);
        };
        let snapshot = match Snapshot::load(&self.store, order_id).await {
            Ok((snapshot, _)) => snapshot,
            Err(LoadError::Read(error)) => return Err(HearError::Read(error)),
            // Whoever can read the order compares its books as well.
            Err(LoadError::LeftAlone(_)) => return Ok(None),
        };
        let Ok(facts) = Facts::fold(snapshot.history.events()) else {
            return Ok(None);
        };
        let denied = claim::denied(&facts, claim).filter(|_| heard.port == Port::Payments);
        Ok(denied.map(|charge_ref| {
            let input = json!(denial::Input {
                order_id,
                charge_ref
            });
            (denial::NAME, input)
        }))
    }

    /// Acts on hints for as long as there is an engine.
    pub(super) fn follow_hints(&self, mut hints: mpsc::Receiver<Hint>) {
        let own = self.clone();
        self.engine.accompany("the providers' hints", async move {
            while let Some(hint) = hints.recv().await {
                own.act(hint).await;
            }
        });
    }

    async fn act(&self, hint: Hint) {
        let why = Request {
            actor: ACTOR.to_owned(),
            reason: format!("{} said {}", hint.port.as_str(), hint.topic),
        };
        let urged = match hint.port {
            Port::Payments => self.engine.urge(hint.saga, &[PAY, REFUND], &why).await,
            Port::Kakao => {
                let steps = [NOTIFY, TELL, SEND];
                self.engine.urge(hint.saga, &steps, &why).await
            }
            Port::Deliveries => {
                self.scanned(hint.saga);
                return;
            }
        };
        match urged {
            Ok(true) => {}
            Ok(false) if hint.port == Port::Payments => self.look_after(&hint).await,
            Ok(false) => {}
            // A hint only: what waits looks by itself when its time comes.
            Err(error) => tracing::debug!(saga = %hint.saga, %error, "a hint was lost"),
        }
    }

    /// Nothing waits for the payment provider's answer. If it says what our books do not, they are compared.
    async fn look_after(&self, hint: &Hint) {
        let Ok((saga, _)) = Snapshot::load(&self.store, hint.saga).await else {
            return;
        };
        if saga.state.unwind.is_some() {
            self.engine.hint(hint.saga, LATE_CHARGE);
        }
        let Ok(facts) = Facts::fold(saga.history.events()) else {
            return;
        };
        match &hint.claim {
            Some(claim) if claim::agrees(&facts, claim) => {}
            // A saga asks about the charge that is denied.
            Some(claim) if claim.state == Claimed::Nothing => {}
            _ => self.suspicion.notify_one(),
        }
    }
}

fn received(heard: &Heard, saga_id: Option<Uuid>, at: DateTime<Utc>) -> WebhookReceived {
    WebhookReceived {
        port: heard.port.as_str().to_owned(),
        provider: heard.provider.to_owned(),
        delivery_id: heard.delivery.clone(),
        topic: heard.topic.clone(),
        status: heard.status.clone(),
        subject: heard.about.subject(),
        saga_id,
        at: aggregates::instant::to_millis(at),
    }
}
