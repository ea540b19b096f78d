//! The queue of wake-ups in a JetStream work queue, which all workers of a shop pull from.
//!
//! Nothing here is kept for good: what the broker loses, the sweeper finds. So stream and consumer are made whenever they are
//! missing, nobody waits for a broker that is away, and one that takes nothing is told apart from one that does: a wake-up that
//! goes nowhere must be refused, or the sweeper would think that somebody has it.

mod letter;
mod origin;
mod outgoing;
mod receipt;
mod setup;
mod standing;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::{AckKind, Message};
use eventstore::EventStore;
use futures_util::StreamExt;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::Broker;
use super::wakeups::{Delivery, FOR_OTHERS, Limits, count};
use crate::saga::dispatch::Wakeup;
use origin::Origin;
use outgoing::publish_all;
pub(super) use receipt::Receipt;
pub use setup::{CONSUMER, STREAM};
use standing::Part;
pub use standing::{QueueReport, Standing};

/// Where wake-ups go. One subject for all: any worker may take any.
const SUBJECT: &str = "bookmarket.wakeups.saga";

/// Wake-ups on their way to the broker. About 1 MB; what does not fit is found by the sweeper.
const OUTGOING_MAX: usize = 10_000;

/// How long a question for wake-ups stays open at the broker. A worker that stops waits for its last one, so not long.
const ASK_FOR: Duration = Duration::from_secs(1);

/// A broker that answers nothing at all is given up on after this.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// Between two tries while the broker is away or not as it should be; it doubles up to the second.
const TRY_AGAIN: Duration = Duration::from_millis(250);
const TRY_AGAIN_MAX: Duration = Duration::from_secs(2);

/// What a process has to be allowed to say to its broker, and to hear from it, for the sake of wake-ups.
const NEEDED: [&str; 5] = [
    "bookmarket.wakeups",
    "$JS.API.STREAM",
    "$JS.API.CONSUMER",
    "$JS.ACK",
    "_INBOX",
];

/// Between two looks whether everything was acknowledged.
const CLOSE_LOOKS: Duration = Duration::from_millis(10);

#[derive(Debug, Clone)]
pub(super) struct JetStream(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    broker: Broker,
    limits: Limits,
    replicas: Option<usize>,
    /// What the sagas are of.
    origin: Origin,
    standing: Standing,
    outgoing: mpsc::Sender<Wakeup>,
    /// Published, and not yet acknowledged by the broker.
    on_their_way: AtomicUsize,
    /// While stream and consumer are there, as far as is known.
    consumer: watch::Sender<Option<PullConsumer>>,
    /// Somebody has reason to think that they are not.
    doubt: watch::Sender<()>,
    arrived: mpsc::UnboundedSender<Message>,
    arrivals: Mutex<mpsc::UnboundedReceiver<Message>>,
    /// Held by the one question that is open, so that no more arrives than was asked for. Closed when no more is asked.
    asking: Arc<Semaphore>,
    leaving: CancellationToken,
}

impl JetStream {
    pub(super) fn new(
        broker: Broker,
        replicas: Option<usize>,
        limits: Limits,
        store: Option<EventStore>,
    ) -> Self {
        let (outgoing, to_publish) = mpsc::channel(OUTGOING_MAX);
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let (doubt, doubts) = watch::channel(());
        let connects = broker.connects();
        let shared = Arc::new(Shared {
            broker,
            limits,
            replicas,
            origin: Origin::new(store),
            standing: Standing::new(),
            outgoing,
            on_their_way: AtomicUsize::new(0),
            consumer: watch::Sender::default(),
            doubt,
            arrived,
            arrivals: Mutex::new(arrivals),
            asking: Arc::new(Semaphore::new(1)),
            leaving: CancellationToken::new(),
        });
        tokio::spawn(keep_up(Arc::downgrade(&shared), doubts, connects));
        tokio::spawn(publish_all(Arc::downgrade(&shared), to_publish));
        Self(shared)
    }

    /// Refused while it is not known to get anywhere.
    pub(super) fn publish(&self, wakeup: Wakeup) -> bool {
        if !self.0.is_hopeful() {
            return false;
        }
        // Counted first: it may be acknowledged before this goes on.
        self.0.on_their_way.fetch_add(1, Ordering::Relaxed);
        let taken = self.0.outgoing.try_send(wakeup).is_ok();
        if !taken {
            self.0.on_their_way.fetch_sub(1, Ordering::Relaxed);
        }
        taken
    }

    pub(super) fn standing(&self) -> Standing {
        self.0.standing.clone()
    }

    pub(super) async fn pull(&self, max: usize) -> Vec<Delivery> {
        let mut arrivals = self.0.arrivals.lock().await;
        loop {
            let mut deliveries = Vec::new();
            while deliveries.len() < max
                && let Ok(message) = arrivals.try_recv()
            {
                deliveries.extend(self.open(message));
            }
            if !deliveries.is_empty() {
                return deliveries;
            }
            if let Ok(asking) = Arc::clone(&self.0.asking).try_acquire_owned() {
                tokio::spawn(ask(Arc::clone(&self.0), max, asking));
            }
            tokio::select! {
                Some(message) = arrivals.recv() => {
                    if let Some(delivery) = self.open(message) {
                        return vec![delivery];
                    }
                }
                Ok(_) = self.0.asking.acquire() => {}
            }
        }
    }

    /// Asks for no more, and gives back what came too late to be looked at. Not before the last question is over, as its answer would
    /// be what was just given back.
    pub(super) async fn give_back(&self) {
        self.0.leaving.cancel();
        let _ = timeout(SILENCE_MAX, self.0.asking.acquire()).await;
        self.0.asking.close();
        let mut arrivals = self.0.arrivals.lock().await;
        while let Ok(message) = arrivals.try_recv() {
            // Unsaid, it is delivered again after its time.
            let _ = message.ack_with(AckKind::Nak(None)).await;
        }
    }

    /// Waits until the broker has acknowledged what was published, or there is no hope of it.
    pub(super) async fn close(&self) {
        self.give_back().await;
        let sent = async {
            while self.0.on_their_way.load(Ordering::Relaxed) > 0 && self.0.is_hopeful() {
                sleep(CLOSE_LOOKS).await;
            }
        };
        let _ = timeout(SILENCE_MAX, sent).await;
        let _ = timeout(SILENCE_MAX, self.0.broker.client().flush()).await;
    }

    /// What nobody can read, and what was delivered too often, is put out of the way, whosever it is: nobody would get it any more, and
    /// the queue would keep it for an hour. Before that, what is of another shop is left to that one.
    fn open(&self, message: Message) -> Option<Delivery> {
        let letter = letter::read(&message.payload);
        let delivered = message.info().map(|info| u32::try_from(info.delivered));
        let (Ok((wakeup, log)), Ok(Ok(attempt))) = (letter, delivered) else {
            discard(message, "unreadable");
            return None;
        };
        let foreign = self.0.origin.is_not(log);
        if foreign {
            self.0.standing.found_foreign();
        }
        if attempt > self.0.limits.max_deliver {
            discard(message, "dropped");
            return None;
        }
        if foreign {
            leave_to_others(message, attempt);
            return None;
        }
        Some(Delivery::from_jetstream(
            wakeup,
            attempt,
            Receipt::new(message),
        ))
    }
}

fn discard(message: Message, why: &'static str) {
    count(why, 1);
    tokio::spawn(async move {
        // Otherwise it comes again, and is discarded again.
        let _ = message.ack_with(AckKind::Term).await;
    });
}

fn leave_to_others(message: Message, attempt: u32) {
    count("foreign", 1);
    let receipt = Receipt::new(message);
    // If nobody hears it, it comes again after its time.
    tokio::spawn(async move { receipt.later(FOR_OTHERS * attempt).await });
}

/// Has stream and consumer made, and made again whenever somebody doubts that they are there or the broker may be another one.
async fn keep_up(
    shared: Weak<Shared>,
    mut doubts: watch::Receiver<()>,
    mut connects: watch::Receiver<u64>,
) {
    loop {
        doubts.borrow_and_update();
        connects.borrow_and_update();
        let Some(queue) = shared.upgrade() else {
            return;
        };
        let is_up = queue.set_up().await;
        drop(queue);
        if !is_up {
            sleep(TRY_AGAIN).await;
            continue;
        }
        // An error of either: the queue is gone, which is seen above.
        let doubted = tokio::select! {
            _ = doubts.changed() => true,
            _ = connects.changed() => false,
        };
        if let Some(queue) = shared.upgrade() {
            queue.consumer.send_replace(None);
        }
        if doubted {
            // A 2.9 that is just deleting a stream deletes the files of one that is made at once under its name as well.
            sleep(TRY_AGAIN).await;
        }
    }
}

/// One open question: everything that comes is passed on.
async fn ask(shared: Arc<Shared>, max: usize, asking: OwnedSemaphorePermit) {
    let consumer = timeout(SILENCE_MAX, shared.consumer());
    let consumer = shared.leaving.run_until_cancelled(consumer).await;
    // What is in the way of the consumer is told by whoever makes it.
    if let Some(Ok(consumer)) = consumer {
        match ask_once(&shared, &consumer, max).await {
            Ok(()) => shared.standing.clear(Part::Asking),
            Err(error) => {
                shared.fails(Part::Asking, &*error);
                sleep(TRY_AGAIN).await;
            }
        }
    }
    drop(asking);
}

async fn ask_once(shared: &Shared, consumer: &PullConsumer, max: usize) -> Result<(), BoxError> {
    let question = consumer.batch().max_messages(max).expires(ASK_FOR);
    let mut answer = question.messages().await?;
    // The broker says when the time is over; one that does not even do that is gone.
    let silent = |_| "the broker does not answer whoever asks for wake-ups";
    while let Some(message) = timeout(SILENCE_MAX, answer.next()).await.map_err(silent)? {
        // The receiver lives in `shared`.
        let _ = shared.arrived.send(message?);
    }
    Ok(())
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Shared {
    /// Whether what is published is known to get anywhere.
    fn is_hopeful(&self) -> bool {
        self.broker.is_connected() && self.standing.is_clear()
    }

    /// Whether stream and consumer are there now.
    async fn set_up(&self) -> bool {
        if !self.broker.is_connected() {
            return false;
        }
        // Before, it is not known what to take, nor what to say of what is sent.
        if timeout(SILENCE_MAX, self.origin.known()).await.is_err() {
            let unknown = "the log does not say which it is";
            self.standing.trouble(Part::Setup, unknown);
            return false;
        }
        let making = setup::set_up(self.broker.jetstream(), self.replicas, &self.limits);
        match timeout(SILENCE_MAX * 2, making).await {
            Ok(Ok(found)) => {
                self.standing.differences(found.differences);
                self.standing.clear(Part::Setup);
                self.consumer.send_replace(Some(found.consumer));
                true
            }
            Ok(Err(foreign @ setup::SetupError::Foreign(_))) => {
                self.standing.trouble(Part::Setup, foreign);
                false
            }
            Ok(Err(error)) => {
                self.tell(Part::Setup, &error);
                false
            }
            Err(_) => {
                self.tell(Part::Setup, &"the broker does not answer");
                false
            }
        }
    }

    /// The consumer, once there is one.
    async fn consumer(&self) -> PullConsumer {
        let mut consumers = self.consumer.subscribe();
        loop {
            if let Some(consumer) = &*consumers.borrow_and_update() {
                return consumer.clone();
            }
            // The sender lives in `self`.
            let _ = consumers.changed().await;
        }
    }

    /// Something does not work that was set up. A broker that is away is told by the connection.
    fn fails(&self, part: Part, why: &dyn std::error::Error) {
        if self.broker.is_connected() {
            self.tell(part, why);
        }
        self.doubt.send_replace(());
    }

    /// A broker answers nothing to what it does not permit.
    fn tell(&self, part: Part, why: &(impl std::fmt::Display + ?Sized)) {
        match self.broker.denied(&NEEDED) {
            Some(denied) => self.standing.trouble(part, denied),
            None => self.standing.trouble(part, why),
        }
    }
}
