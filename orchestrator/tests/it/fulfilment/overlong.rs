//! An order of which the log holds more than can be read: it stands still, and nothing else does.

use eventstore::{
    Category, Expected, NewEvent, Position, RELATED_MAX, ReadError, StreamAppend, StreamId,
};
use orchestrator::fulfilment::reconcile::Mode;
use orchestrator::fulfilment::reconcile::report::Action;
use orchestrator::saga::index::{LogIndex, SagaIndex};
use orchestrator::saga::verbs::{Request, VerbError};
use orchestrator::saga::view::LeftAlone;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::reconciles::{codes, compare, plant_charge};
use super::shop::{Shop, eventually};

/// What one append of these tests holds.
const AT_ONCE: usize = 1_000;

/// More events of an order than are read at once.
async fn overfill(shop: &Shop, order: Uuid) {
    let empty = RawValue::from_string("{}".to_owned()).unwrap();
    let event = || NewEvent {
        event_id: Uuid::now_v7(),
        event_type: "Filler".into(),
        schema_version: 1,
        data: empty.clone(),
        metadata: empty.clone(),
    };
    for _ in 0..=RELATED_MAX / AT_ONCE {
        let filler = StreamAppend {
            stream: StreamId::new(Category::from_static("filler"), order),
            expected: Expected::Any,
            events: (0..AT_ONCE).map(|_| event()).collect(),
        };
        shop.store.append(vec![filler]).await.unwrap();
    }
}

#[tokio::test]
async fn an_order_that_cannot_be_read_keeps_no_other_from_being_compared_nor_an_engine_from_ending()
{
    let shop = Shop::open().await;
    let (overlong, other) = (shop.shipped("a").await, shop.shipped("b").await);
    for order in [overlong, other] {
        plant_charge(&shop, order, &format!("second window of {order}")).await;
    }
    overfill(&shop, overlong).await;
    let another = shop.another(orchestrator::saga::engine::Options::default());
    let why = Request {
        actor: "kim".into(),
        reason: "it stands still".into(),
    };
    let retried = another.engine().retry(overlong, "handover", &why).await;
    let too_long = ReadError::TooManyRelated {
        id: overlong,
        limit: RELATED_MAX,
    };
    let left = VerbError::LeftAlone(LeftAlone::Unreadable(too_long));
    assert_eq!(retried, Err(left));
    // Its task ends, and does not wait for a log that is there.
    another.engine().wake(overlong);
    eventually(|| async { !another.engine().is_live(overlong) }).await;

    let index = LogIndex::new(shop.store.clone(), Position::ZERO);
    let far = chrono::DateTime::<chrono::Utc>::MAX_UTC;
    let due = index.due(far, 10).await.unwrap();
    let due: Vec<_> = due.iter().map(|due| due.id).collect();
    assert!(due.contains(&overlong) && due.contains(&other), "{due:?}");

    let report = compare(&shop, Mode::Automatic).await;
    assert_eq!(codes(&report), [("second-charge", Action::Fixed)]);
    assert_eq!(report.findings[0].finding.order_id, other.to_string());
    // It is not taken for compared.
    assert_eq!(report.left, 1);
}
