//! Whom a hint is for.

use std::sync::{Arc, OnceLock};

use eventstore::{EventStore, ReadError, StreamId, Version};
use projections::Projections;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::Hint;
use crate::saga::view::SAGA;

/// What a webhook is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum About {
    /// A saga of ours: an order's, or that of a direct message.
    Saga(Uuid),
    /// A parcel, as the carrier knows it.
    Parcel {
        /// The carrier, in the provider's words.
        carrier: String,
        /// Its number of the parcel.
        waybill: String,
    },
    /// Nothing of ours.
    Nothing,
}

impl About {
    /// What it is about in a word for the log.
    pub(super) fn subject(&self) -> Option<String> {
        match self {
            Self::Saga(id) => Some(id.to_string()),
            Self::Parcel { carrier, waybill } => Some(format!("{carrier}/{waybill}")),
            Self::Nothing => None,
        }
    }

    /// Whether the log may come to know it.
    pub(super) fn may_come(&self) -> bool {
        !matches!(self, Self::Nothing)
    }
}

/// Finds whom hints are for, and takes those that are to be passed on.
#[derive(Debug, Clone)]
pub(in crate::fulfilment) struct Targets {
    store: EventStore,
    /// Knows whose parcel it is; without it nobody's is.
    views: Arc<OnceLock<Projections>>,
    hints: mpsc::Sender<Hint>,
}

impl Targets {
    pub(in crate::fulfilment) fn new(store: EventStore, hints: mpsc::Sender<Hint>) -> Self {
        let views = Arc::default();
        Self {
            store,
            views,
            hints,
        }
    }

    /// Has parcels looked up in these views from now on.
    pub(in crate::fulfilment) fn look_up_in(&self, views: Projections) {
        // Whoever was first has the same views.
        let _ = self.views.set(views);
    }

    /// The saga it is about, if the log knows it.
    pub(super) async fn find(&self, about: &About) -> Result<Option<Uuid>, ReadError> {
        let id = match about {
            About::Saga(id) => *id,
            About::Parcel { carrier, waybill } => match self.owner(carrier, waybill).await {
                Some(id) => id,
                None => return Ok(None),
            },
            About::Nothing => return Ok(None),
        };
        let stream = StreamId::new(SAGA.clone(), id);
        let first = self.store.read_stream(&stream, Version::ZERO, 1).await?;
        Ok((!first.is_empty()).then_some(id))
    }

    /// `false`: too many wait already.
    pub(super) fn pass_on(&self, hint: Hint) -> bool {
        let taken = self.hints.try_send(hint).is_ok();
        if !taken {
            metrics::counter!("bookmarket_hints_dropped_total").increment(1);
        }
        taken
    }

    /// Carriers use their numbers again: the youngest parcel is meant.
    async fn owner(&self, carrier: &str, waybill: &str) -> Option<Uuid> {
        let found = self.views.get()?.parcel(carrier, waybill).await;
        match found {
            Ok(row) => row.map(|row| row.order_id),
            Err(error) => {
                tracing::warn!(%error, "whose parcel it is cannot be looked up");
                None
            }
        }
    }
}
