//! A log with its views, and ways to fill the one and read the other.

use std::sync::mpsc;
use std::time::Duration;

use aggregates::{Event, category_of, codec};
use eventstore::testing::TestLog;
use eventstore::{Category, EventStore, Expected, NewEvent, Position, StreamAppend, StreamId};
use futures_util::{StreamExt as _, stream};
use projections::customer::CustomerRow;
use projections::message::MessageRow;
use projections::saga::SagaRow;
use projections::{
    CustomerFilter, MessageFilter, PageRequest, Projections, RebuildError, RebuildOptions,
    RebuildReport, SagaFilter, View,
};
use serde_json::value::RawValue;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::story::{Life, late_message, life};

/// Only something that is stuck takes this long.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A log and its views at the same place.
pub(crate) struct World {
    pub(crate) log: EventStore,
    pub(crate) views: Projections,
    pub(crate) at: TestLog,
}

/// Everything that the views show.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shown {
    pub(crate) customers: Vec<CustomerRow>,
    pub(crate) messages: Vec<MessageRow>,
    pub(crate) sagas: Vec<SagaRow>,
}

impl World {
    pub(crate) async fn open(at: TestLog) -> Self {
        let log = at.open().await;
        let location = at.location();
        Projections::migrate(&location).await.unwrap();
        let views = Projections::open(&location, log.clone()).await.unwrap();
        Self { log, views, at }
    }

    /// Another handle, as another process would have it.
    pub(crate) async fn second(&self) -> Projections {
        Projections::open(&self.at.location(), self.log.clone())
            .await
            .unwrap()
    }

    pub(crate) async fn live(&self, number: u64, which: Life) -> Position {
        tell(&self.log, number, which).await
    }

    pub(crate) async fn catch_up(&self) {
        for view in View::ALL {
            self.views.run_until_caught_up(view).await.unwrap();
        }
    }

    /// The row of a saga.
    pub(crate) async fn saga(&self, id: Uuid) -> SagaRow {
        let sagas = self.shown().await.sagas;
        let row = sagas.into_iter().find(|row| row.saga_id == id);
        row.expect("the saga is in its view")
    }

    pub(crate) async fn shown(&self) -> Shown {
        shown(&self.views).await
    }
}

/// A rebuild that has begun and waits in its middle.
pub(crate) struct Halted {
    go: mpsc::Sender<()>,
    rebuild: JoinHandle<Result<RebuildReport, RebuildError>>,
}

impl Halted {
    /// Begins one.
    pub(crate) fn begin(views: &Projections, view: View, options: RebuildOptions) -> Self {
        let (begun, has_begun) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let views = views.clone();
        let rebuild = tokio::spawn(async move {
            let mut waited = false;
            let halt = move |_| {
                if !std::mem::replace(&mut waited, true) {
                    begun.send(()).unwrap();
                    tokio::task::block_in_place(|| may_go.recv().unwrap());
                }
            };
            views.rebuild_with(view, &options, halt).await
        });
        tokio::task::block_in_place(|| has_begun.recv().unwrap());
        Self { go, rebuild }
    }

    /// Lets it go on to its end.
    pub(crate) async fn end(self) -> Result<RebuildReport, RebuildError> {
        self.go.send(()).unwrap();
        self.rebuild.await.unwrap()
    }
}

/// Writes a life to the log, append by append.
pub(crate) async fn tell(log: &EventStore, number: u64, which: Life) -> Position {
    let story = life(number, which);
    let mut last = Position::ZERO;
    for events in &story.appends {
        last = append(log, story.order_id, events).await;
    }
    last
}

/// Writes many lives at once, each in its order.
pub(crate) async fn tell_many(log: &EventStore, numbers: std::ops::Range<u64>) {
    let lives = numbers.map(|number| tell(log, number, Life::ALL[(number % 8) as usize]));
    stream::iter(lives)
        .buffer_unordered(64)
        .for_each(|_| std::future::ready(()))
        .await;
}

/// A message about an order, long after its life.
pub(crate) async fn tell_late(log: &EventStore, number: u64) {
    let message = late_message(number);
    append(log, message.head().unwrap().id, &[message]).await;
}

/// Writes events of one order in one append.
pub(crate) async fn append(log: &EventStore, order_id: Uuid, events: &[Event]) -> Position {
    let mut streams: Vec<StreamAppend> = Vec::new();
    for event in events {
        let mut append = to_append(event, order_id);
        match streams
            .iter_mut()
            .find(|known| known.stream == append.stream)
        {
            Some(known) => known.events.append(&mut append.events),
            None => streams.push(append),
        }
    }
    log.append(streams).await.unwrap().last
}

fn to_append(event: &Event, order_id: Uuid) -> StreamAppend {
    let encoded = codec::encode(event);
    // A saga's events do not say whose they are.
    let id = event.head().map_or(order_id, |head| head.id);
    stream_append(
        category_of(event),
        id,
        encoded.event_type,
        encoded.schema_version,
        encoded.data,
    )
}

/// One event of any kind, sound or not.
pub(crate) fn stream_append(
    category: &str,
    id: Uuid,
    event_type: &str,
    schema_version: i16,
    data: Box<RawValue>,
) -> StreamAppend {
    StreamAppend {
        stream: StreamId {
            category: Category::parse(category).unwrap(),
            id,
        },
        expected: Expected::Any,
        events: vec![NewEvent {
            event_id: Uuid::now_v7(),
            event_type: event_type.to_owned().into(),
            schema_version,
            data,
            metadata: RawValue::from_string(String::from("{}")).unwrap(),
        }],
    }
}

/// All rows of all views, by way of their pages.
pub(crate) async fn shown(views: &Projections) -> Shown {
    let mut shown = Shown {
        customers: Vec::new(),
        messages: Vec::new(),
        sagas: Vec::new(),
    };
    let mut request = PageRequest {
        size: 7,
        cursor: None,
    };
    loop {
        let filter = CustomerFilter::default();
        let page = views.customer_rows(&filter, &request).await.unwrap();
        shown.customers.extend(page.rows);
        request.cursor = page.next;
        if request.cursor.is_none() {
            break;
        }
    }
    loop {
        let filter = MessageFilter::default();
        let page = views.message_rows(&filter, &request).await.unwrap();
        shown.messages.extend(page.rows);
        request.cursor = page.next;
        if request.cursor.is_none() {
            break;
        }
    }
    loop {
        let filter = SagaFilter::default();
        let page = views.saga_rows(&filter, &request).await.unwrap();
        shown.sagas.extend(page.rows);
        request.cursor = page.next;
        if request.cursor.is_none() {
            break;
        }
    }
    shown
}

/// An id in the SQL of either database.
pub(crate) fn literal(at: &TestLog, id: Uuid) -> String {
    match at {
        TestLog::Postgres(_) => format!("'{id}'"),
        TestLog::Sqlite(_) => format!("X'{}'", id.simple()),
    }
}

/// Runs SQL in the database behind the views.
pub(crate) fn tamper(at: &TestLog, sql: &str) {
    match at {
        TestLog::Postgres(database) => database.try_execute(sql).unwrap(),
        TestLog::Sqlite(dir) => {
            let connection = rusqlite::Connection::open(dir.path().join("views.db")).unwrap();
            connection.busy_timeout(Duration::from_secs(5)).unwrap();
            connection.execute_batch(sql).unwrap();
        }
    }
}
