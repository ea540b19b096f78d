//! The built-in simulator: a payment provider, a carrier and a message dealer with one memory and one ledger, so that the
//! whole product runs with nothing configured and every effect outside can be checked afterwards.

mod carrier;
mod faults;
mod kakao;
pub mod ledger;
mod payment;
mod vans;
mod world;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

pub use faults::Fault;
use faults::Faults;
use ledger::{Ledger, LedgerError, Op, Port};
pub use world::Scan;
use world::{Ask, Reply, World};

use super::ports::{Answer, Found, Refusal};

/// Wake-up hints that may wait to be read. More are dropped: whoever waits for a scan also asks by itself now and then.
const HINTS: usize = 4096;

/// How the simulator behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the ledger lies.
    pub data_dir: PathBuf,
    /// From the acceptance of a parcel to the van that takes it along.
    pub handover_after: Duration,
    /// From there to the door.
    pub delivery_after: Duration,
    /// The adapters' own time limit: how long they wait for an answer before they call it unknown.
    pub time_limit: Duration,
}

impl Options {
    /// The defaults of `serve`, with the ledger in `data_dir`.
    #[must_use]
    pub fn in_dir(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            handover_after: Duration::from_mins(10),
            delivery_after: Duration::from_mins(20),
            time_limit: Duration::from_secs(3),
        }
    }
}

/// A handle on the simulated outside world; clones share it. Implements all three ports.
#[derive(Debug, Clone)]
pub struct Simulator {
    core: Arc<Core>,
}

#[derive(Debug)]
struct Core {
    world: Mutex<World>,
    faults: Mutex<Faults>,
    ledger: Ledger,
    time_limit: Duration,
    /// Told when a van may have to come earlier than it was going to.
    dispatch: Arc<Notify>,
}

impl Drop for Core {
    fn drop(&mut self) {
        self.dispatch.notify_one();
    }
}

impl Simulator {
    /// Recovers the world from its ledger and sends the vans out. The receiver yields the orders whose parcels were
    /// scanned: hints only, some may be missing. Must be called inside a Tokio runtime.
    pub fn open(options: &Options) -> Result<(Self, mpsc::Receiver<Uuid>), LedgerError> {
        let mut world = World::new(options.handover_after, options.delivery_after);
        let path = options.data_dir.join(ledger::FILE_NAME);
        let ledger = Ledger::open(&path, |line| world.apply(&line))?;
        let core = Arc::new(Core {
            world: Mutex::new(world),
            faults: Mutex::new(Faults::default()),
            ledger,
            time_limit: options.time_limit,
            dispatch: Arc::new(Notify::new()),
        });
        let (hints, scans) = mpsc::channel(HINTS);
        tokio::spawn(vans::run(
            Arc::downgrade(&core),
            Arc::clone(&core.dispatch),
            hints,
        ));
        Ok((Self { core }, scans))
    }

    /// Makes the next call of `op` for `subject` (an order id; for [`Op::Send`] a message id) go wrong.
    pub fn script(&self, op: Op, subject: Uuid, fault: Fault) {
        lock(&self.core.faults).script(op, &subject.to_string(), fault);
    }

    /// Switches a whole provider off or on: its calls are not sent, its look-ups fail.
    pub fn set_outage(&self, port: Port, down: bool) {
        lock(&self.core.faults).set_outage(port, down);
    }

    /// Lets a van come now. `force` takes a parcel along although it was to be held. False when there was nothing to scan.
    pub async fn scan(&self, order: Uuid, scan: Scan, force: bool) -> bool {
        let Some(seq) = self.core.scan(order, scan, force) else {
            return false;
        };
        self.core.dispatch.notify_one();
        self.core.ledger.synced(seq).await
    }
}

impl Core {
    /// One keyed call with whatever goes wrong about it.
    async fn call(self: &Arc<Self>, ask: Ask, fault: Option<Fault>) -> Answer<Reply> {
        match fault {
            None => self.settle(ask).await,
            Some(Fault::Refuse(code)) => {
                self.settle(Ask {
                    refusal: Some(code),
                    ..ask
                })
                .await
            }
            Some(Fault::Unreachable) => {
                Answer::NotSent("the simulated provider cannot be reached".into())
            }
            Some(Fault::LoseRequest) => self.time_out().await,
            Some(Fault::LoseReply) => {
                self.settle(ask).await;
                self.time_out().await
            }
            Some(Fault::Slow(delay)) => {
                let core = Arc::clone(self);
                // A task of its own: the provider goes on even when the adapter has given up waiting.
                let work = tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    core.settle(ask).await
                });
                match tokio::time::timeout(self.time_limit, work).await {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(_)) | Err(_) => timed_out(),
                }
            }
        }
    }

    /// Decides under the one lock, then waits for the disk.
    async fn settle(&self, ask: Ask) -> Answer<Reply> {
        let shipped = ask.op == Op::Ship;
        let reply = {
            let mut world = lock(&self.world);
            let (line, reply) = world.ask(&ask, now());
            self.ledger.push(&line);
            reply
        };
        if !self.ledger.synced(reply.seq).await {
            return Answer::Unknown("the simulator cannot write its ledger".into());
        }
        if shipped {
            self.dispatch.notify_one();
        }
        match &reply.result {
            Ok(_) => Answer::Done(reply),
            Err(code) => Answer::Refused(refusal(code)),
        }
    }

    fn scan(&self, order: Uuid, scan: Scan, force: bool) -> Option<u64> {
        let mut world = lock(&self.world);
        let line = world.scan(order, scan, force, now())?;
        self.ledger.push(&line);
        Some(line.seq)
    }

    async fn lookup(&self, port: Port, op: Op, key: &str) -> Found<Reply> {
        if lock(&self.faults).is_down(port) {
            return Found::Unknown("the simulated provider cannot be reached".into());
        }
        let Some(reply) = lock(&self.world).lookup(op, key) else {
            return Found::Nothing;
        };
        if !self.ledger.synced(reply.seq).await {
            return Found::Unknown("the simulator cannot write its ledger".into());
        }
        match &reply.result {
            Ok(_) => Found::Done(reply),
            Err(code) => Found::Refused(refusal(code)),
        }
    }

    async fn time_out(&self) -> Answer<Reply> {
        tokio::time::sleep(self.time_limit).await;
        timed_out()
    }
}

fn timed_out() -> Answer<Reply> {
    Answer::Unknown("no answer within the time limit".into())
}

fn refusal(code: &str) -> Refusal {
    let reason = match code {
        "card-declined" => "The card was declined.",
        "payment-window-closed" => "The payment was confirmed too late.",
        "not-cancelable-amount" => "The charge does not cover this refund.",
        "no-such-parcel" => "The carrier has no parcel for this order.",
        "handed-over" => "The carrier already took the parcel along.",
        "label-void" => "The label was voided before.",
        _ => "The provider refused.",
    };
    Refusal {
        code: code.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Now, to the millisecond: what a line says and what memory holds must not differ after a restart.
fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(3)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
