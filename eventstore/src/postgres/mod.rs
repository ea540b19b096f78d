//! The log on Postgres: one appender connection per process with group commit, a pool for reads, COPY for bulk reads.

mod appender;
mod backoff;
mod bookmark;
mod codec;
mod connect;
mod copy;
mod durability;
mod encode;
mod fault;
mod intake;
mod keys;
mod lease;
mod migrate;
mod pool;
mod read;
mod reply;
mod scan;
mod session;
mod settle;

use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::mpsc;

use crate::batch;
use crate::error::OpenError;
use crate::hint::Hint;
use crate::options::{Access, Options};
use crate::position::Position;
use crate::request::Pending;
use crate::stats::Counters;

use appender::Appender;
use connect::Target;
use pool::Reads;
use session::Session;

pub use connect::{is_readable_on_the_way, postgres_config};
pub(crate) use intake::{Intake, Place, place};
pub(crate) use migrate::migrate;

#[derive(Debug)]
pub(crate) struct Postgres {
    target: Target,
    reads: Reads,
    /// Absent when opened for reading only.
    appender: Option<mpsc::Sender<Pending>>,
    #[cfg(feature = "testing")]
    appending: Option<tokio::task::AbortHandle>,
}

impl Postgres {
    pub(crate) async fn open(
        url: &SecretString,
        options: &Options,
        counters: &Arc<Counters>,
    ) -> Result<(Postgres, Arc<Hint>), OpenError> {
        let target = Target::parse(url)?;
        let reads = Reads::new(&target, options.read_connections)?;
        let (appending, hint) = match options.access {
            Access::ReadOnly => {
                let link = target.connect().await?;
                durability::check(&link.client).await?;
                migrate::check(&link.client).await?;
                counters.set_reachable(true);
                (None, Arc::new(Hint::new(Position::ZERO)))
            }
            Access::Write => {
                let session = Session::open(&target).await?;
                counters.set_reachable(true);
                let hint = Arc::new(Hint::new(session.head));
                let (sender, queue) = mpsc::channel(batch::QUEUE);
                let appender = Appender::new(
                    target.clone(),
                    session,
                    queue,
                    Arc::clone(&hint),
                    Arc::clone(counters),
                );
                let task = tokio::spawn(appender.run()).abort_handle();
                (Some((sender, task)), hint)
            }
        };
        let (appender, _task) = appending.unzip();
        Ok((
            Postgres {
                target,
                reads,
                appender,
                #[cfg(feature = "testing")]
                appending: _task,
            },
            hint,
        ))
    }

    pub(crate) fn appender(&self) -> Option<&mpsc::Sender<Pending>> {
        self.appender.as_ref()
    }

    /// Ends the appender where it stands, as a panic would.
    #[cfg(feature = "testing")]
    pub(crate) fn end_appender(&self) {
        if let Some(appending) = &self.appending {
            appending.abort();
        }
    }
}
