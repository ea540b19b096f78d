//! The saga of a direct message goes through the same.

use std::sync::Arc;

use aggregates::Decider;
use aggregates::kakao::{Action, Command, Kind, Message, Notice, Progress};
use aggregates::saga::Phase;
use chrono::Utc;
use eventstore::testing::TestLog;
use futures_util::future::BoxFuture;
use orchestrator::execute::Aggregate;
use orchestrator::saga::definition::Saga;
use orchestrator::saga::view::Snapshot;
use uuid::Uuid;

use super::market::{Market, begins};
use crate::harness::{Start, Suite, Trial, World};

struct Mail(Market);

impl World for Mail {
    fn saga(&self) -> Arc<dyn Saga> {
        Arc::clone(&self.0.sagas[1])
    }

    fn start(&self, id: Uuid) -> BoxFuture<'_, Start> {
        let notice = Notice {
            id,
            order_id: "111".into(),
            customer_id: "33".into(),
            kind: Kind::Direct,
            topic: "Shipped".into(),
            text: "111 33 Shipped...".into(),
        };
        let command = Command {
            notice,
            at: Utc::now(),
            action: Action::Request,
        };
        begins::<Message>(id, &command)
    }

    fn check<'a>(
        &'a self,
        trial: &'a Trial,
        rest: &'a Snapshot,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let sends = self.0.effects(rest.id).len();
            if sends > 1 + usize::from(trial.strike.frozen_at().is_some()) {
                return Err(format!("it was sent {sends} times"));
            }
            let message = told(rest)?;
            let sent = matches!(message.progress, Progress::Sent { .. });
            if sent != (sends > 0) {
                return Err(format!(
                    "sent {sends} times, recorded as {}",
                    message.progress.as_str()
                ));
            }
            let ended = matches!(rest.state.phase, Phase::Completed | Phase::Unwound);
            let settled = message.progress != Progress::Requested;
            if ended && settled {
                Ok(())
            } else {
                Err(format!("it ends in {:?}", rest.state.phase))
            }
        })
    }
}

fn told(rest: &Snapshot) -> Result<Message, String> {
    let mut state = None;
    for event in rest.history.events() {
        let decoded =
            aggregates::codec::decode(&event.event_type, event.schema_version, &event.data);
        let decoded = decoded.map_err(|error| error.to_string())?;
        if let Some(event) = Message::pick(decoded) {
            state = Message::evolve(state, &event).map_err(|error| error.to_string())?;
        }
    }
    state.ok_or_else(|| "there is no message".to_owned())
}

#[tokio::test]
async fn a_message_survives_everything_and_is_sent_once() {
    for log in [TestLog::sqlite(), TestLog::postgres()] {
        let suite = Suite::new(Arc::new(Mail(Market::open().await)), log).await;
        assert!(suite.every_step_twice().await > 3);
        assert!(suite.every_fault_forward().await > 5);
        assert!(suite.a_crash_at_every_point().await > 5);
        assert!(suite.a_crash_at_every_point_with_silent_effects().await > 5);
        assert!(suite.a_cancel_at_every_point().await > 3);
        assert!(suite.a_cancel_then_a_crash().await > 3);
        assert_eq!(suite.a_frozen_owner_at_each_step().await, 2);
    }
}
