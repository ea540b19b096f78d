//! What the rows tell.

use aggregates::saga::Status;
use eventstore::testing::{TestLog, each_backend};
use projections::Projections;
use projections::customer::{DeliveryStatus, OrderStatus, PaymentStatus};
use projections::message::MessageState;

use crate::story::{CANARY, Life, order_of};
use crate::world::World;

#[tokio::test]
async fn a_delivered_order_tells_its_whole_story() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        world.live(1, Life::Delivered).await;
        world.catch_up().await;

        let row = world
            .views
            .customer_row(order_of(1))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(row.status, OrderStatus::Delivered);
        assert_eq!((row.total, row.lines.len()), (33_000, 1));
        let payment = row.payment.unwrap();
        assert_eq!(
            (payment.status, payment.paid, payment.refunded),
            (PaymentStatus::Paid, 33_000, 0)
        );
        let delivery = row.delivery.unwrap();
        assert_eq!(delivery.status, DeliveryStatus::Delivered);
        assert_eq!(delivery.waybill.as_deref(), Some("6001"));
        assert_eq!(row.messages.len(), 1);
        assert_eq!(row.messages[0].state, MessageState::Sent);
        let told: Vec<&str> = row
            .timeline
            .iter()
            .map(|entry| entry.event.as_ref())
            .collect();
        assert_eq!(
            told,
            [
                "Ordered",
                "Paid",
                "OrderPaid",
                "Shipped",
                "OrderShipped",
                "MessageRequested",
                "SentMessage",
                "HandedOver",
                "OrderHandedOver",
                "Delivered",
                "OrderDelivered"
            ]
        );
        let message = world
            .views
            .message_row(row.messages[0].message_id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(message.order_id, order_of(1).to_string());
        assert!(message.message.ends_with("Shipped..."));
        let way = (message.channel.as_deref(), message.template.as_deref());
        assert_eq!(way, (Some("alimtalk"), Some("KA01TP-shipped")));
        let tries = (message.fallback.as_deref(), message.attempts);
        assert_eq!(tries, (Some("sms"), Some(2)));
        assert_eq!(message.sent_at, Some(message.updated_at));
        let saga = world.saga(order_of(1)).await;
        assert_eq!((saga.status, saga.due_at), (Status::Completed, None));
    })
    .await;
}

#[tokio::test]
async fn a_canceled_order_shows_its_refund_and_a_refused_cancellation_its_reason() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        world.live(1, Life::CanceledAfterShipping).await;
        world.live(2, Life::CancelRefused).await;
        world.live(3, Life::Declined).await;
        world.live(4, Life::CancelTakenBack).await;
        world.catch_up().await;

        let canceled = world
            .views
            .customer_row(order_of(1))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(canceled.status, OrderStatus::Canceled);
        assert_eq!(canceled.payment.unwrap().refunded, 33_000);
        assert_eq!(
            canceled.delivery.unwrap().status,
            DeliveryStatus::DeliveryCanceled
        );
        assert!(canceled.cancel.unwrap().canceled_at.is_some());

        let refused = world
            .views
            .customer_row(order_of(2))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(refused.status, OrderStatus::Delivered);
        assert_eq!(
            refused.cancel.unwrap().refused.unwrap().code,
            "past-point-of-no-return"
        );

        let stands = world
            .views
            .customer_row(order_of(4))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stands.status, OrderStatus::HandedOver);
        assert_eq!(stands.delivery.unwrap().status, DeliveryStatus::HandedOver);
        let asked = stands.cancel.unwrap();
        assert_eq!(asked.canceled_at, None);
        assert_eq!(asked.refused.unwrap().code, "scan-after-hold");

        let rejected = world
            .views
            .customer_row(order_of(3))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(rejected.status, OrderStatus::Rejected);
        assert_eq!(rejected.rejected.unwrap().code, "payment-declined");
    })
    .await;
}

#[tokio::test]
async fn nothing_sealed_reaches_a_view() {
    each_backend(async |at: TestLog| {
        let world = World::open(at).await;
        for (number, which) in Life::ALL.into_iter().enumerate() {
            world.live(number as u64, which).await;
        }
        world.catch_up().await;
        let shown = format!("{:?}", world.shown().await);
        assert!(shown.contains("Shipped..."));
        assert!(!shown.contains(CANARY));
        if let Some(dir) = world.at.dir() {
            let stored =
                ["views.db", "views.db-wal"].map(|file| std::fs::read(dir.join(file)).unwrap());
            let leaked = stored.iter().any(|bytes| {
                bytes
                    .windows(CANARY.len())
                    .any(|window| window == CANARY.as_bytes())
            });
            assert!(!leaked, "the file of the views holds sealed data");
        }
    })
    .await;
}

#[tokio::test]
async fn ten_processes_may_migrate_at_once() {
    each_backend(async |at: TestLog| {
        let log = at.open().await;
        let location = at.location();
        let all = (0..10).map(|_| {
            let location = location.clone();
            tokio::spawn(async move { Projections::migrate(&location).await })
        });
        for migration in all.collect::<Vec<_>>() {
            migration.await.unwrap().unwrap();
        }
        Projections::open(&location, log).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn views_that_were_never_migrated_are_refused_with_a_sentence() {
    each_backend(async |at: TestLog| {
        let log = at.open().await;
        let error = Projections::open(&at.location(), log).await.unwrap_err();
        assert!(error.to_string().contains("run the migrations"), "{error}");
    })
    .await;
}
