//! The built-in simulator: a payment provider, a carrier and a message dealer with one memory and one ledger, so that the
//! whole product runs with nothing configured and every effect outside can be checked afterwards.

mod account;
mod archive;
mod books;
mod call;
mod carrier;
mod failures;
mod faults;
mod fold;
mod kakao;
mod lanes;
pub mod ledger;
mod memory;
mod names;
mod notes;
mod payment;
mod reader;
mod rules;
mod sessions;
mod vans;
pub mod wire;
mod world;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use archive::Archive;
use call::{Ask, Reply};
pub use faults::Fault;
use faults::Faults;
pub use lanes::Scan;
use ledger::{Ledger, LedgerError, Line, Op, Port};
use notes::{Detail, Note, Notes, Reading, What};
use reader::Reader;
use world::{WINDOW, World};

use super::ports::{Answer, Found, Refusal};

/// Wake-up hints that may wait to be read. More are dropped: whoever waits for a scan also asks by itself now and then.
const HINTS: usize = 4096;

/// How the simulator behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The ledger.
    pub ledger: PathBuf,
    /// From the acceptance of a parcel to the van that takes it along.
    pub handover_after: Duration,
    /// From there to the door.
    pub delivery_after: Duration,
    /// The adapters' own time limit: how long they wait for an answer before they call it unknown.
    pub time_limit: Duration,
}

impl Options {
    /// Quick vans, and the ledger in `data_dir`. `serve` and `simulate` set the pace of the vans from their settings.
    #[must_use]
    pub fn in_dir(data_dir: impl AsRef<Path>) -> Self {
        Self {
            ledger: data_dir.as_ref().join(ledger::FILE_NAME),
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
    notes: Mutex<Notes>,
    faults: Mutex<Faults>,
    ledger: Ledger,
    reader: Reader,
    time_limit: Duration,
    /// Told when a van may have to come earlier than it was going to.
    dispatch: Arc<Notify>,
}

/// Nothing is acknowledged any more.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the simulator cannot write its books")]
struct Broken;

impl Drop for Core {
    fn drop(&mut self) {
        self.dispatch.notify_one();
    }
}

impl Simulator {
    /// Recovers the world from its ledger and sends the vans out. The receiver yields the orders whose parcels were
    /// scanned: hints only, some may be missing. Must be called inside a Tokio runtime.
    pub fn open(options: &Options) -> Result<(Self, mpsc::Receiver<Uuid>), LedgerError> {
        let path = &options.ledger;
        let archive = Archive::beside(path);
        let (handover, delivery) = (options.handover_after, options.delivery_after);
        let mut world = World::new(handover, delivery, WINDOW, archive);
        let notes = Notes::beside(path);
        let ledger = recover(path, &notes, &mut world)?;
        let core = Arc::new(Core {
            world: Mutex::new(world),
            notes: Mutex::new(notes),
            faults: Mutex::new(Faults::default()),
            ledger,
            reader: Reader::new(path.clone()),
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
                    refusal: Some(code.to_owned()),
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
        match self.commit(&ask).await {
            Ok(reply) => match &reply.result {
                Ok(_) => Answer::Done(reply),
                Err(code) => Answer::Refused(refusal(code)),
            },
            Err(broken) => Answer::Unknown(broken.to_string()),
        }
    }

    /// Decides a call and waits for the disk.
    async fn commit(&self, ask: &Ask) -> Result<Reply, Broken> {
        let reply = self.decide(ask).ok_or(Broken)?;
        if !self.ledger.synced(reply.seq).await {
            return Err(Broken);
        }
        if ask.op == Op::Ship {
            self.dispatch.notify_one();
        }
        Ok(reply)
    }

    /// Notes what the line will not say, then makes the line. Nothing, and no effect, when the note cannot be written.
    fn decide(&self, ask: &Ask) -> Option<Reply> {
        let mut world = lock(&self.world);
        if let Some(detail) = &ask.detail {
            let (key, detail) = (ask.key.clone(), detail.clone());
            self.note(&world, What::Call { key, detail })?;
        }
        let (line, reply) = world.ask(ask, now());
        self.ledger.push(&line);
        Some(reply)
    }

    /// The failure that is the answer to a call with this key: an earlier one, or the one that is drawn for the first call.
    /// Nothing where the key has another answer. One that is not `kept` says nothing about the next call.
    fn failure(&self, op: Op, key: &str, drawn: Option<&str>, kept: bool) -> Option<String> {
        let mut world = lock(&self.world);
        if let Some(code) = world.failure(op, key) {
            return Some(code);
        }
        let code = drawn?.to_owned();
        if world.lookup_anywhere(op, key).is_some() {
            return None;
        }
        if kept {
            let failure = What::Failure {
                op,
                key: key.to_owned(),
                code: code.clone(),
            };
            self.note(&world, failure)?;
            world.set_failure(op, key, code.clone());
        }
        Some(code)
    }

    /// When a payment was first seen; now, if it never was. Nothing when that cannot be noted.
    fn first_seen(&self, payment: Uuid) -> Option<DateTime<Utc>> {
        let mut world = lock(&self.world);
        if let Some(first) = world.sessions.first(payment) {
            return Some(first);
        }
        let at = now();
        self.note(&world, What::Session { payment, at })?;
        world.sessions.saw(payment, at);
        Some(at)
    }

    /// Writes a note about the next line.
    fn note(&self, world: &World, what: What) -> Option<()> {
        let seq = world.last_seq() + 1;
        let written = lock(&self.notes).write(&Note { seq, what });
        written
            .inspect_err(|error| tracing::error!(%error, "the simulator's notes cannot be written"))
            .ok()
    }

    fn scan(&self, order: Uuid, scan: Scan, force: bool) -> Option<u64> {
        let mut world = lock(&self.world);
        let line = world.scan(order, scan, force, now())?;
        self.ledger.push(&line);
        Some(line.seq)
    }

    async fn lookup(&self, port: Port, op: Op, order_id: &str, key: &str) -> Found<Reply> {
        if lock(&self.faults).is_down(port) {
            return Found::Unknown("the simulated provider cannot be reached".into());
        }
        let Some(reply) = lock(&self.world).lookup(op, order_id, key) else {
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

/// Folds what the ledger and the notes beside it say.
fn recover(path: &Path, notes: &Notes, world: &mut World) -> Result<Ledger, LedgerError> {
    let io = |source| LedgerError::Io {
        path: path.to_owned(),
        source,
    };
    let mut reading = notes.read().map_err(io)?;
    let mut broken = None;
    let ledger = Ledger::open(path, |line| match details(world, &mut reading, &line) {
        Ok(detail) => world.apply(&line, detail.as_ref()),
        Err(error) => broken = Some(error),
    })?;
    let end = world.last_seq() + 1;
    while let Some(note) = reading.up_to(end).map_err(io)? {
        recall(world, note);
    }
    world.opened();
    broken.map_or(Ok(ledger), |error| Err(io(error)))
}

/// Takes in the notes before a line, and finds the one that belongs to it.
fn details(
    world: &mut World,
    reading: &mut Reading,
    line: &Line,
) -> std::io::Result<Option<Detail>> {
    let mut own = None;
    while let Some(note) = reading.up_to(line.seq)? {
        match note.what {
            // A note whose line was never written stands before another call's.
            What::Call { key, detail } if note.seq == line.seq && key == line.key => {
                own = Some(detail);
            }
            _ => recall(world, note),
        }
    }
    Ok(own)
}

fn recall(world: &mut World, note: Note) {
    match note.what {
        What::Pending(pending) => world.set_pending(pending),
        What::Hook { order, hook } => world.set_hook(order, hook),
        What::Failure { op, key, code } => world.set_failure(op, &key, code),
        What::Session { payment, at } => world.sessions.saw(payment, at),
        What::Call { .. } => {}
    }
}

fn timed_out() -> Answer<Reply> {
    Answer::Unknown("no answer within the time limit".into())
}

fn refusal(code: &str) -> Refusal {
    Refusal {
        code: code.to_owned(),
        reason: words(code).unwrap_or("The provider refused.").to_owned(),
    }
}

/// The sentence of what is refused with this code.
pub(super) fn words(code: &str) -> Option<&'static str> {
    Some(match code {
        "card-declined" => "The card was declined.",
        "payment-window-closed" => "The payment was confirmed too late.",
        "another-amount-authenticated" => "The customer has authenticated another amount.",
        "another-order-authenticated" => "The customer has authenticated another order.",
        "not-cancelable-amount" => "The charge does not cover this refund.",
        "no-such-parcel" => "The carrier has no parcel for this order.",
        "handed-over" => "The carrier already took the parcel along.",
        "label-void" => "The label was voided before.",
        _ => return None,
    })
}

/// Now, to the millisecond: what a line says and what memory holds must not differ after a restart.
fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(3)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
