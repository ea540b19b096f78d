//! Shops that were given one broker by mistake, and wake-ups of sagas that nobody has.

use std::sync::Arc;

use aggregates::saga::Phase;
use async_nats::jetstream::stream::State;
use metrics_exporter_prometheus::PrometheusBuilder;
use orchestrator::bus::attendant::attend;
use orchestrator::bus::connection::Broker;
use orchestrator::bus::jetstream::STREAM;
use orchestrator::bus::wakeups::{Limits, Wakeups};
use orchestrator::saga::definition::{Definition, Saga};
use orchestrator::saga::dispatch::{Begins, Wakeup};
use orchestrator::saga::engine::{Engine, Options};
use orchestrator::saga::step::{Class, StepSpec};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::desk::Desk;
use super::errands::Errands;
use crate::broker::nats::NatsServer;
use crate::broker::on_each_release;
use crate::town::{STUCK, until};
use crate::wakeups::{connected, takes};

/// Wake-ups in the queue of two shops.
const SAGAS: usize = 20;

/// A log with a worker.
struct Shop {
    log: Desk,
    errands: Arc<Errands>,
    worker: Engine,
    wakeups: Wakeups,
}

impl Shop {
    async fn open(nats: &NatsServer) -> Shop {
        let log = Desk::open().await;
        let broker = connected(&nats.url()).await;
        let wakeups = Wakeups::jetstream_of(log.store.clone(), broker, None, Limits::default());
        takes(&wakeups).await;
        Shop::with(log, wakeups)
    }

    fn with(log: Desk, wakeups: Wakeups) -> Shop {
        let definition = Definition {
            forward: vec![StepSpec::call("errand", Class::Retriable)],
            branches: Vec::new(),
            unwind: Vec::new(),
        };
        let errands = Arc::new(Errands::new(definition, &[]));
        Shop {
            worker: engine(&log, &errands, Options::default()),
            log,
            errands,
            wakeups,
        }
    }

    /// Starts sagas that its worker has to go on with, and tells it.
    async fn take_orders(&self) -> Vec<Uuid> {
        let options = Options {
            begins: Begins::Only(&[]),
            dispatch: Some(Arc::new(self.wakeups.clone())),
            ..Options::default()
        };
        let front = engine(&self.log, &self.errands, options);
        let mut sagas = Vec::new();
        for _ in 0..SAGAS {
            let id = Uuid::now_v7();
            let started = front.start("errands", id, Value::Null, Vec::new());
            drop(started.await.expect("it starts"));
            sagas.push(id);
        }
        sagas
    }

    /// Has the worker pull.
    fn work(&self, stop: &CancellationToken) -> JoinHandle<()> {
        let (worker, wakeups) = (self.worker.clone(), self.wakeups.clone());
        tokio::spawn(attend(worker, wakeups, 4, stop.clone()))
    }

    async fn phase(&self, saga: Uuid) -> Phase {
        let mut running = self.worker.follow(saga).await.expect("it is there");
        let rest = running.wait_for(|now| now.state.is_finished());
        let rest = tokio::time::timeout(STUCK, rest).await.expect("it ends");
        rest.expect("it is for this build").state.phase
    }
}

fn engine(log: &Desk, errands: &Arc<Errands>, options: Options) -> Engine {
    let saga: Arc<dyn Saga> = Arc::clone(errands) as Arc<dyn Saga>;
    Engine::new(log.store.clone(), vec![saga], options).expect("sound sagas")
}

/// What was put into the queue, and what is left of it: it holds each until somebody says that it is done with.
async fn queue(broker: &Broker) -> State {
    let stream = broker.jetstream().get_stream(STREAM).await;
    stream.expect("a stream").cached_info().state.clone()
}

async fn holds(broker: &Broker, messages: usize) {
    until("the queue holds so many", STUCK, async || {
        let left = usize::try_from(queue(broker).await.messages);
        (left == Ok(messages)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wakeups_of_another_shop_on_the_same_broker_are_left_to_it_and_told() {
    on_each_release(async |release| {
        let nats = NatsServer::start(release);
        let client = connected(&nats.url()).await;
        let (ours, theirs) = (Shop::open(&nats).await, Shop::open(&nats).await);
        let (stop, stop_theirs) = (CancellationToken::new(), CancellationToken::new());
        let pulling = theirs.work(&stop_theirs);
        let sagas = ours.take_orders().await;
        holds(&client, SAGAS).await;
        let standing = theirs.wakeups.standing().expect("a broker's");
        let trouble = until("it is told", STUCK, async || standing.report().trouble).await;
        assert!(trouble.contains("another shop"), "{trouble}");
        assert!(standing.report().usable, "its own would get through");
        // As nobody of ours has pulled yet, it has seen them and let them be.
        holds(&client, SAGAS).await;
        let working = ours.work(&stop);
        for saga in sagas {
            assert_eq!(ours.phase(saga).await, Phase::Completed);
        }
        // Of two who pull, either may get what comes again; with one of them it takes no longer than the longest pause.
        stop_theirs.cancel();
        pulling.await.expect("no panic");
        holds(&client, 0).await;
        assert_eq!(ours.errands.count("errand"), SAGAS);
        assert_eq!(theirs.errands.count("errand"), 0);
        let standing = ours.wakeups.standing().expect("a broker's");
        assert_eq!(standing.report().trouble, None, "nothing of theirs is here");

        // The release before does not say whose its wake-ups are: as ever, they are for whoever pulls.
        let former = Wakeups::jetstream(connected(&nats.url()).await, None, Limits::default());
        takes(&former).await;
        let before = queue(&client).await.last_sequence;
        assert!(former.publish(Wakeup::of(Uuid::now_v7())));
        until("it is done with", STUCK, async || {
            let state = queue(&client).await;
            (state.last_sequence > before && state.messages == 0).then_some(())
        })
        .await;
        stop.cancel();
        working.await.expect("no panic");
    })
    .await;
}

/// On one thread, so that everything is counted by the recorder of this test.
#[tokio::test(flavor = "current_thread")]
async fn a_wakeup_of_a_saga_that_nobody_has_is_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let counts = recorder.handle();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let shop = Shop::with(Desk::open().await, Wakeups::local());
    let stop = CancellationToken::new();
    let working = shop.work(&stop);
    shop.take_orders().await;
    shop.errands.begun("errand", SAGAS).await;
    let missing = || counts.render().contains("outcome=\"missing\"");
    assert!(!missing(), "{}", counts.render());
    assert!(shop.wakeups.publish(Wakeup::of(Uuid::now_v7())));
    until("it is counted", STUCK, async || missing().then_some(())).await;
    stop.cancel();
    working.await.expect("no panic");
}
