//! What a worker does with the wake-ups it has pulled.

use std::sync::Arc;
use std::time::Duration;

use aggregates::saga::Phase;
use async_nats::jetstream::consumer::Info;
use metrics_exporter_prometheus::PrometheusBuilder;
use orchestrator::bus::attendant::attend;
use orchestrator::bus::connection::Broker;
use orchestrator::bus::jetstream::{CONSUMER, STREAM};
use orchestrator::bus::wakeups::{ACK_WAIT, Delivery, Limits, MAX_DELIVER, Wakeups};
use orchestrator::saga::definition::{Definition, Saga};
use orchestrator::saga::dispatch::{Begins, Wakeup};
use orchestrator::saga::engine::{Engine, Options};
use orchestrator::saga::step::{Class, StepSpec};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::desk::Desk;
use super::errands::Errands;
use crate::broker::nats::{NatsServer, Release};
use crate::broker::on_each_release;
use crate::town::{STUCK, until};
use crate::wakeups::{FEW, connected, dropped, nobody_finishes, on_each_carrier_within, takes};

/// One step, which somebody else begins.
fn one_step(step: StepSpec) -> Definition {
    Definition {
        forward: vec![step],
        branches: Vec::new(),
        unwind: Vec::new(),
    }
}

fn engine(log: &Desk, errands: &Arc<Errands>, options: Options) -> Engine {
    let saga: Arc<dyn Saga> = Arc::clone(errands) as Arc<dyn Saga>;
    Engine::new(log.store.clone(), vec![saga], options).expect("sound sagas")
}

/// Starts sagas here that others have to go on with, and tells them.
async fn leave(log: &Desk, errands: &Arc<Errands>, wakeups: &Wakeups, count: usize) {
    let options = Options {
        begins: Begins::Only(&[]),
        dispatch: Some(Arc::new(wakeups.clone())),
        ..Options::default()
    };
    let front = engine(log, errands, options);
    for _ in 0..count {
        let started = front.start("errands", Uuid::now_v7(), Value::Null, Vec::new());
        drop(started.await.expect("it starts"));
    }
}

async fn queue(nats: &NatsServer) -> Wakeups {
    let wakeups = Wakeups::jetstream(connected(&nats.url()).await, None, Limits::default());
    takes(&wakeups).await;
    wakeups
}

async fn consumer(broker: &Broker) -> Info {
    let stream = broker
        .jetstream()
        .get_stream(STREAM)
        .await
        .expect("a stream");
    stream.consumer_info(CONSUMER).await.expect("a consumer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_takes_longer_than_the_wait_for_a_sign_of_life_is_kept_by_its_worker() {
    on_each_release(async |release| {
        let nats = NatsServer::start(release);
        let (log, client) = (Desk::open().await, connected(&nats.url()).await);
        let spec = StepSpec::call("errand", Class::Retriable).time_limit(STUCK * 2);
        let errands = Arc::new(Errands::new(one_step(spec), &["errand"]));
        let stop = CancellationToken::new();
        let mut attending = Vec::new();
        for _ in 0..2 {
            let engine = engine(&log, &errands, Options::default());
            let wakeups = queue(&nats).await;
            attending.push(tokio::spawn(attend(engine, wakeups, 4, stop.clone())));
        }
        leave(&log, &errands, &queue(&nats).await, 1).await;
        errands.begun("errand", 1).await;
        let until_then = tokio::time::Instant::now() + ACK_WAIT + ACK_WAIT / 2;
        while tokio::time::Instant::now() < until_then {
            let info = consumer(&client).await;
            assert_eq!(info.num_ack_pending, 1, "in one pair of hands");
            assert_eq!(info.delivered.consumer_sequence, 1, "delivered once");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        errands.let_go("errand");
        until("the wake-up is done with", STUCK, async || {
            let info = consumer(&client).await;
            (info.num_ack_pending == 0 && info.num_pending == 0).then_some(())
        })
        .await;
        assert_eq!(errands.count("errand"), 1);
        stop.cancel();
        for attending in attending {
            attending.await.expect("no panic");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_arrived_and_nobody_looked_at_is_given_back_at_once_by_a_worker_that_goes() {
    on_each_release(async |release| {
        let nats = NatsServer::start(release);
        let client = connected(&nats.url()).await;
        let (here, there) = (queue(&nats).await, queue(&nats).await);
        for _ in 0..5 {
            assert!(there.publish(Wakeup::of(Uuid::now_v7())));
        }
        until("all of them queue up", STUCK, async || {
            (consumer(&client).await.num_pending == 5).then_some(())
        })
        .await;
        // Asks for more than it then looks at.
        let held = here.pull(10).await;
        let given_back = 5 - held.len();
        assert!(given_back > 0, "it looked at all of them");
        until("all of them have arrived", STUCK, async || {
            (consumer(&client).await.num_ack_pending == 5).then_some(())
        })
        .await;
        here.give_back().await;
        let mut pulled = Vec::new();
        let pulling = async {
            while pulled.len() < given_back {
                pulled.extend(there.pull(10).await);
            }
        };
        let pulling = tokio::time::timeout(ACK_WAIT / 2, pulling).await;
        let came = pulled.len();
        assert!(pulling.is_ok(), "{came} of {given_back} in time");
        assert!(pulled.iter().all(|delivery| delivery.attempt == 2));
        let is_held = |it: &Delivery| held.iter().any(|held| held.wakeup == it.wakeup);
        assert!(!pulled.iter().any(is_held));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_takes_no_more_than_it_has_hands_for() {
    let nats = NatsServer::start(Release::New);
    let (log, client) = (Desk::open().await, connected(&nats.url()).await);
    let spec = StepSpec::call("errand", Class::Retriable)
        .time_limit(STUCK * 2)
        .concurrency(1);
    let errands = Arc::new(Errands::new(one_step(spec), &["errand"]));
    let wakeups = queue(&nats).await;
    leave(&log, &errands, &wakeups, 20).await;
    until("all of them queue up", STUCK, async || {
        (consumer(&client).await.num_pending == 20).then_some(())
    })
    .await;
    let stop = CancellationToken::new();
    let engine = engine(&log, &errands, Options::default());
    let attending = tokio::spawn(attend(engine, wakeups, 1, stop.clone()));
    errands.begun("errand", 1).await;
    let mut most = 0;
    for nth in 1..=20 {
        errands.begun("errand", nth).await;
        most = most.max(consumer(&client).await.num_ack_pending);
        errands.let_go("errand");
    }
    // Four for each call that may be in flight.
    assert!((2..=4).contains(&most), "{most} in hand");
    until("nothing is left", STUCK, async || {
        let info = consumer(&client).await;
        (info.num_ack_pending == 0 && info.num_pending == 0).then_some(())
    })
    .await;
    assert_eq!(errands.count("errand"), 20);
    stop.cancel();
    attending.await.expect("no panic");
}

/// What is said about a delivery has a second to be heard.
const GONE_WITHIN: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_word_that_the_connection_has_no_room_for_keeps_no_worker_from_its_end() {
    let mut nats = NatsServer::start(Release::New);
    let (log, broker) = (Desk::open().await, connected(&nats.url()).await);
    let spec = StepSpec::call("errand", Class::Retriable).time_limit(STUCK * 2);
    let errands = Arc::new(Errands::new(one_step(spec), &["errand"]));
    let wakeups = Wakeups::jetstream(broker.clone(), None, Limits::default());
    takes(&wakeups).await;
    let stop = CancellationToken::new();
    let worker = engine(&log, &errands, Options::default());
    let attending = tokio::spawn(attend(worker, wakeups, 4, stop.clone()));
    leave(&log, &errands, &queue(&nats).await, 1).await;
    errands.begun("errand", 1).await;
    nats.kill();
    until("an outage that is noticed", STUCK, async || {
        (!broker.is_connected()).then_some(())
    })
    .await;
    // Nobody takes it from the client, until it takes no more itself.
    let say = || {
        let said = broker.client().publish("nobody", "a word".into());
        tokio::time::timeout(Duration::from_secs(1), said)
    };
    while say().await.is_ok() {}
    stop.cancel();
    errands.let_go("errand");
    let attending = tokio::time::timeout(GONE_WITHIN, attending).await;
    attending.expect("in time").expect("no panic");
    assert_eq!(errands.count("errand"), 1);
}

/// On one thread, so that everything is counted by the recorder of this test.
#[tokio::test(flavor = "current_thread")]
async fn a_wakeup_of_a_saga_that_gets_nowhere_is_put_off_until_it_was_delivered_too_often() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let counts = recorder.handle();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let log = Desk::open().await;
    let spec = StepSpec::call("errand", Class::Retriable)
        .retry(Duration::from_millis(20), Duration::from_millis(20));
    let mut errands = Errands::new(one_step(spec), &[]);
    errands.silent = vec!["errand"];
    let errands = Arc::new(errands);
    let wakeups = Wakeups::local();
    // A saga rests as soon as it waits.
    let options = Options {
        linger: Duration::ZERO,
        ..Options::default()
    };
    let engine = engine(&log, &errands, options);
    let stop = CancellationToken::new();
    let attending = tokio::spawn(attend(engine, wakeups.clone(), 4, stop.clone()));
    leave(&log, &errands, &wakeups, 1).await;
    let limit = usize::try_from(MAX_DELIVER).expect("a small number");
    until("it is dropped", STUCK, async || {
        (dropped(&counts) > 0).then_some(())
    })
    .await;
    assert_eq!(dropped(&counts), 1);
    assert!(
        errands.count("errand") >= limit,
        "{}",
        errands.count("errand")
    );
    // The saga itself is in nobody's way: its timer goes on.
    errands.begun("errand", limit * 2).await;
    assert_eq!(dropped(&counts), 1);
    stop.cancel();
    attending.await.expect("no panic");
}

/// Over each queue that there is.
#[test]
fn a_saga_whose_wakeup_was_dropped_is_brought_back_by_the_sweeper_and_ends() {
    on_each_carrier_within(FEW, async |queue, counts| {
        let log = Desk::open().await;
        let spec = StepSpec::call("errand", Class::Retriable);
        let errands = Arc::new(Errands::new(one_step(spec), &[]));
        let before = dropped(counts);
        leave(&log, &errands, &queue.here, 1).await;
        nobody_finishes(&queue.there, FEW).await;
        // From here on there is somebody who would look at it, and is not told of it.
        let engine = engine(&log, &errands, Options::default());
        let stop = CancellationToken::new();
        let attending = attend(engine.clone(), queue.there.clone(), 4, stop.clone());
        let attending = tokio::spawn(attending);
        until("the queue has given it up", STUCK, async || {
            (dropped(counts) > before).then_some(())
        })
        .await;
        assert_eq!(dropped(counts), before + 1);
        assert_eq!(errands.count("errand"), 0, "nobody was told");
        let sweeping = log.sweep(&engine, stop.clone());
        let id = errands.begun("errand", 1).await[0];
        let mut running = engine.follow(id).await.expect("it is there");
        let rest = running.wait_for(|now| now.state.is_finished());
        let rest = tokio::time::timeout(STUCK, rest).await.expect("it ends");
        let phase = rest.expect("it is for this build").state.phase;
        assert_eq!(phase, Phase::Completed);
        assert_eq!(errands.count("errand"), 1);
        assert_eq!(dropped(counts), before + 1);
        stop.cancel();
        attending.await.expect("no panic");
        sweeping.await.expect("no panic");
    });
}
