//! The log on Postgres: one appender connection per process with group commit, a pool for reads, COPY for bulk reads.

mod appender;
mod backoff;
mod codec;
mod connect;
mod copy;
mod durability;
mod encode;
mod fault;
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

pub(crate) use migrate::migrate;

#[derive(Debug)]
pub(crate) struct Postgres {
    target: Target,
    reads: Reads,
    /// Absent when opened for reading only.
    appender: Option<mpsc::Sender<Pending>>,
}

impl Postgres {
    pub(crate) async fn open(
        url: &SecretString,
        options: &Options,
        counters: &Arc<Counters>,
    ) -> Result<(Postgres, Arc<Hint>), OpenError> {
        let target = Target::parse(url)?;
        let reads = Reads::new(&target, options.read_connections)?;
        let (appender, hint) = match options.access {
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
                tokio::spawn(appender.run());
                (Some(sender), hint)
            }
        };
        Ok((
            Postgres {
                target,
                reads,
                appender,
            },
            hint,
        ))
    }

    pub(crate) fn appender(&self) -> Option<&mpsc::Sender<Pending>> {
        self.appender.as_ref()
    }
}
