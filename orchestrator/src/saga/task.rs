//! The task of one live saga: plans, begins, waits, writes down.

mod looking;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aggregates::saga::{SagaStarted, Standing, Step};
use chrono::{DateTime, Utc};
use eventstore::StreamAppend;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::attempt::{Job, Work};
use super::definition::{Call, Saga};
use super::desk::Desk;
use super::dispatch::{Rest, Wakeup};
use super::engine::{Inner, StartError};
use super::finding::Ended;
use super::follower::Follower;
use super::meter;
use super::observer::Point;
use super::places::Errand;
use super::registry::{Inbox, Slot};
use super::start::Start;
use super::view::{LeftAlone, Snapshot};
use super::writer::{Writer, Written, load};

/// How a task begins.
pub(super) enum Opening {
    /// The saga does not exist yet; the answer says whether it does now.
    New(Box<New>),
    /// The log knows it.
    Found,
}

/// A saga to be started.
pub(super) struct New {
    pub(super) saga: Arc<dyn Saga>,
    pub(super) started: SagaStarted,
    pub(super) domain: Vec<StreamAppend>,
    pub(super) answer: oneshot::Sender<Result<(), StartError>>,
}

pub(super) struct Task {
    inner: Arc<Inner>,
    saga: Arc<dyn Saga>,
    inbox: Arc<Inbox>,
    publish: watch::Sender<Arc<Snapshot>>,
    writer: Writer,
    desk: Desk,
    jobs: FuturesUnordered<BoxFuture<'static, Ended>>,
    /// Steps somebody says are worth a look.
    hinted: Vec<String>,
    /// Those of them whose turn comes once what is being looked at before them is found.
    early: Vec<String>,
    follower: Follower,
}

impl Task {
    /// Works on a saga until it has nothing to do for a while; then a timer takes its place.
    pub(super) async fn run(inner: Arc<Inner>, id: Uuid, slot: Slot, opening: Opening) {
        let again = slot.clone();
        let opened = match opening {
            Opening::New(new) => Self::open(Arc::clone(&inner), id, slot, *new).await,
            Opening::Found => Self::find(Arc::clone(&inner), id, slot).await.map(Some),
        };
        let opened = match opened {
            // It could not be started, and whoever wanted it knows.
            Ok(None) if inner.registry.leave(id, &again.inbox) => return,
            // What was told meanwhile was meant for the one that the log knows.
            Ok(None) => Self::find(Arc::clone(&inner), id, again).await,
            Ok(Some(opened)) => Ok(opened),
            Err(left) => Err(left),
        };
        let worked = match opened {
            Ok((mut task, written)) => task.work(written).await,
            Err(left) => Err(left),
        };
        if let Err(left) = worked {
            let how = inner.leave_alone(id, &left);
            inner.registry.remove(id, how);
        }
    }

    fn new(inner: Arc<Inner>, saga: Arc<dyn Saga>, view: Snapshot, slot: Slot) -> Self {
        Self {
            desk: Desk::new(Arc::clone(&inner), Arc::clone(&saga), view.id),
            writer: Writer::new(Arc::clone(&inner), Arc::clone(&saga), view),
            inner,
            saga,
            inbox: slot.inbox,
            publish: slot.publish,
            jobs: FuturesUnordered::new(),
            hinted: Vec::new(),
            early: Vec::new(),
            follower: Follower::default(),
        }
    }

    async fn open(
        inner: Arc<Inner>,
        id: Uuid,
        slot: Slot,
        new: New,
    ) -> Result<Option<(Self, Option<Written>)>, LeftAlone> {
        let mut task = Self::new(inner, new.saga, Snapshot::empty(id), slot);
        let desk = &mut task.desk;
        let opened = task
            .writer
            .open(new.started, new.domain, &mut |step| desk.admit(step))
            .await;
        let (written, answer) = match opened {
            Ok(written) => (Some(written), Ok(())),
            Err(error) => (None, Err(error)),
        };
        if written.is_some() {
            task.show();
        }
        // Whoever asked may have gone; the saga goes on without them.
        drop(new.answer.send(answer));
        Ok(written.map(|written| (task, Some(written))))
    }

    async fn find(
        inner: Arc<Inner>,
        id: Uuid,
        slot: Slot,
    ) -> Result<(Self, Option<Written>), LeftAlone> {
        let (view, _) = load(&inner.store, id).await?;
        let saga = inner.saga(&view.state.saga, view.state.version)?;
        let mut task = Self::new(inner, saga, view, slot);
        task.hinted = task.inner.hints.take(id);
        // Among them may be what others look at who could not be told.
        task.desk.lend(task.hinted.clone());
        task.show();
        Ok((task, None))
    }

    async fn work(&mut self, mut written: Option<Written>) -> Result<(), LeftAlone> {
        let mut ended = None;
        loop {
            let now = match written.take() {
                Some(written) => written,
                None => self.write(ended.take()).await?,
            };
            self.show();
            self.launch(now.starts);
            self.look(&now.plan.look);
            self.desk.release();
            self.hand_over();
            let until = now
                .plan
                .wake_at
                .into_iter()
                .chain(self.desk.paused_until())
                .min()
                .filter(|_| self.is_own_time());
            if self.may_end(until) && self.rest(until) {
                return Ok(());
            }
            ended = self.wait(until).await?;
        }
    }

    async fn write(&mut self, ended: Option<Ended>) -> Result<Written, LeftAlone> {
        self.desk.clear();
        let desk = &mut self.desk;
        self.writer.write(ended, &mut |step| desk.admit(step)).await
    }

    /// Until something ended, somebody rang, a permit came free, or it is time.
    async fn wait(&mut self, until: Option<DateTime<Utc>>) -> Result<Option<Ended>, LeftAlone> {
        if self.jobs.is_empty() && !self.desk.is_starved() {
            self.observe(Point::Waiting { until }).await;
        }
        let stopping = self.inner.stopping.is_cancelled();
        let (follows, heard) = (self.follows(), self.has_audience());
        let clock = Arc::clone(&self.inner.clock);
        tokio::select! {
            biased;
            Some(ended) = self.jobs.next(), if !self.jobs.is_empty() => {
                self.desk.ended(ended.step);
                return Ok(Some(ended));
            }
            () = self.inbox.rung() => {}
            (step, permit) = self.desk.permit() => {
                self.desk.hold(step, permit);
                return Ok(None);
            }
            () = sleep(clock.as_ref(), until) => return Ok(None),
            () = self.follower.news(&self.inner.store, &self.writer.view), if follows => {
                self.writer.reload().await?;
                return Ok(None);
            }
            () = self.inner.stopping.cancelled(), if !stopping => return Ok(None),
            // A task that lasted only for them may end.
            () = self.publish.closed(), if heard => return Ok(None),
        }
        let news = self.inbox.take();
        self.hinted.extend(news.look);
        self.desk.lend(news.lent);
        if news.reload {
            self.writer.reload().await?;
        }
        Ok(None)
    }

    /// Makes the attempts that the log says are this engine's.
    fn launch(&mut self, starts: Vec<Start>) {
        for start in starts {
            let begin = start.begin;
            if self.owns(&start) {
                self.call(
                    begin.step,
                    begin.attempt,
                    start.key,
                    start.send_by,
                    Work::Attempt(begin.mode),
                );
            }
        }
    }

    fn owns(&self, start: &Start) -> bool {
        let step = self.writer.view.state.step(start.begin.step);
        step.is_some_and(|step| step.is_running() && step.attempt == start.begin.attempt)
    }

    fn call(
        &mut self,
        step: &'static str,
        attempt: u32,
        key: String,
        deadline: DateTime<Utc>,
        work: Work,
    ) {
        let call = Call {
            saga_id: self.writer.view.id,
            step,
            attempt,
            key,
            deadline,
            state: Arc::clone(&self.writer.view.state),
            history: Arc::clone(&self.writer.view.history),
        };
        let Some(permit) = self.desk.begin(step) else {
            return;
        };
        let job = Job {
            saga: Arc::clone(&self.saga),
            call,
            work,
            clock: Arc::clone(&self.inner.clock),
            observer: self.inner.observer.clone(),
            _permit: permit,
            sent: AtomicBool::new(false),
        };
        self.jobs.push(Box::pin(job.run()));
    }

    fn begins(&self, step: &str) -> bool {
        self.inner.begins.includes(step)
    }

    /// Tells others of what they have to begin.
    fn hand_over(&mut self) {
        let (id, version) = (self.writer.view.id, self.writer.view.version);
        if self.desk.has_foreign() && self.follower.is_untold(version) {
            self.inner.dispatch(Wakeup::of(id));
        }
    }

    /// Somebody waits here for what others do.
    fn follows(&self) -> bool {
        let is_others = |step: &Step| match step.standing {
            Standing::Running { owner, .. } => owner != self.inner.owner,
            _ => step.timer().is_some() && !self.begins(&step.name),
        };
        let steps = &self.writer.view.state.steps;
        let others = self.desk.has_foreign() || steps.iter().any(is_others);
        others && self.jobs.is_empty() && self.has_audience()
    }

    /// Somebody waits here for the saga.
    fn has_audience(&self) -> bool {
        self.publish.receiver_count() > 0
    }

    /// Whether what the saga waits for is for this engine to begin.
    fn is_own_time(&self) -> bool {
        let own = |step: &Step| self.begins(&step.name) && step.timer().is_some();
        let steps = &self.writer.view.state.steps;
        self.inner.begins.is_all() || self.desk.paused_until().is_some() || steps.iter().any(own)
    }

    /// Leaves the saga to its timer, unless somebody told it something meanwhile.
    fn rest(&self, until: Option<DateTime<Utc>>) -> bool {
        let id = self.writer.view.id;
        self.inbox.rests(Rest::Until(until));
        self.inner.hints.keep(id, self.hinted.clone());
        // First the timer: once it has left, another task may come to rest with a time of its own, which is the one that counts.
        if let Some(until) = until {
            let errand = if self.only_waits() {
                Errand::Look
            } else {
                Errand::Call
            };
            self.inner.timers.arm(errand, id, until);
        }
        self.inner.registry.leave(id, &self.inbox)
    }

    /// For what somebody else does, and for nothing that is to be tried again.
    fn only_waits(&self) -> bool {
        let waits = |step: &Step| matches!(step.standing, Standing::Polling { .. });
        let steps = self.writer.view.state.steps.iter();
        let mut timed = steps.filter(|step| step.timer().is_some()).peekable();
        timed.peek().is_some() && timed.all(waits)
    }

    fn may_end(&self, until: Option<DateTime<Utc>>) -> bool {
        if !self.jobs.is_empty() {
            return false;
        }
        if self.inner.stopping.is_cancelled() {
            return true;
        }
        let soon = until.is_some_and(|until| until <= self.inner.clock.now() + self.inner.linger);
        // Whoever is to be looked at may be away for hours.
        let heeded = self.hinted.is_empty() || self.desk.paused_until().is_some();
        !soon && !self.desk.is_starved() && heeded && !self.has_audience()
    }

    fn show(&self) {
        let now = &self.writer.view;
        self.publish.send_if_modified(|shown| {
            let news = shown.version != now.version || shown.position != now.position;
            if news {
                *shown = Arc::new(now.clone());
            }
            news
        });
    }

    async fn observe(&mut self, point: Point) {
        if let Some(observer) = &self.inner.observer {
            observer.reached(self.writer.view.id, point).await;
        }
    }
}

async fn sleep(clock: &dyn super::clock::Clock, until: Option<DateTime<Utc>>) {
    match until {
        Some(until) => clock.sleep_until(until).await,
        None => std::future::pending().await,
    }
}

impl Inner {
    fn leave_alone(&self, id: Uuid, left: &LeftAlone) -> Rest {
        match left {
            LeftAlone::NotFound => return Rest::Missing,
            LeftAlone::Unreadable(_) => {
                meter::unreadable();
                tracing::error!(saga = %id, why = %left, "nobody can go on with it: a person has to see to it outside");
                return Rest::LeftAlone;
            }
            _ => meter::left_alone(),
        }
        self.left_alone.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(saga = %id, why = %left, "left alone: not for this build");
        Rest::LeftAlone
    }
}
