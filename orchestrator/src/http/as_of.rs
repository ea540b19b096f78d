//! `?asOf=`: an aggregate as it was when the log ended at that position.

use eventstore::Position;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::filter;
use super::outcome::{load_failed, read_failed};
use super::problem::Problem;
use super::state::Edge;
use crate::execute::{Aggregate, Versioned};

/// Which moment of an aggregate.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct AsOf {
    /// As it was after the event at this position of the log; absent = now
    as_of: Option<i64>,
}

impl AsOf {
    /// The aggregate at that moment, if it existed then.
    pub async fn find<A>(&self, edge: &Edge, id: Uuid) -> Result<Option<Versioned<A>>, Problem>
    where
        A: Aggregate<State = Option<A>>,
    {
        let last = match self.as_of {
            Some(position) => self.past(edge, position).await?,
            None => Position(i64::MAX),
        };
        let found = edge.fulfilment.as_of::<A>(id, last).await;
        found.map_err(|error| load_failed(&error))
    }

    /// Of a position that nobody has written yet nothing is known.
    async fn past(&self, edge: &Edge, position: i64) -> Result<Position, Problem> {
        let head = edge.store.head().await;
        let head = head.map_err(|error| read_failed(&error))?;
        filter::written("asOf", position, head)
    }
}
