//! Lists: filters, pages, cursors, what is due.

use chrono::{TimeDelta, Utc};
use eventstore::testing::{TestLog, each_backend};
use projections::message::MessageState;
use projections::{
    CustomerFilter, CustomerList, MessageFilter, PageRequest, QueryError, SagaFilter,
};

use crate::story::{Life, order_of};
use crate::world::World;

pub(crate) fn page(size: usize, cursor: Option<String>) -> PageRequest {
    PageRequest { size, cursor }
}

pub(crate) async fn filled(at: TestLog) -> World {
    let world = World::open(at).await;
    for number in 0..24 {
        world.live(number, Life::ALL[(number % 8) as usize]).await;
    }
    world.catch_up().await;
    world
}

#[tokio::test]
async fn a_list_comes_youngest_first_page_by_page_without_gap_or_repeat() {
    each_backend(async |at: TestLog| {
        let world = filled(at).await;
        let filter = CustomerFilter::default();
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let part = world
                .views
                .customer_rows(&filter, &page(5, cursor))
                .await
                .unwrap();
            assert!(part.rows.len() <= 5);
            seen.extend(part.rows.into_iter().map(|row| row.order_id));
            cursor = part.next;
            if cursor.is_none() {
                break;
            }
        }
        let expected: Vec<_> = (0..24).rev().map(order_of).collect();
        assert_eq!(seen, expected);
    })
    .await;
}

#[tokio::test]
async fn each_list_filters_by_its_own_status_and_by_customer() {
    each_backend(async |at: TestLog| {
        let world = filled(at).await;
        let count = async |list, customer: Option<&str>, status: Option<&str>| {
            let filter = CustomerFilter {
                list,
                customer_id: customer.map(str::to_owned),
                status: status.map(str::to_owned),
                ..CustomerFilter::default()
            };
            let page = world
                .views
                .customer_rows(&filter, &page(100, None))
                .await
                .unwrap();
            page.rows.len()
        };
        use CustomerList::{Deliveries, Orders, Payments};
        assert_eq!(count(Orders, None, None).await, 24);
        assert_eq!(count(Orders, Some("1"), None).await, 5);
        assert_eq!(count(Orders, None, Some("Delivered")).await, 6);
        assert_eq!(count(Orders, None, Some("Canceled")).await, 6);
        assert_eq!(count(Orders, None, Some("Rejected")).await, 3);
        assert_eq!(count(Orders, Some("2"), Some("Delivered")).await, 1);
        assert_eq!(count(Orders, None, Some("no such status")).await, 0);
        assert_eq!(count(Payments, None, None).await, 18);
        assert_eq!(count(Payments, None, Some("PayCanceled")).await, 6);
        assert_eq!(count(Payments, None, Some("Paid")).await, 9);
        assert_eq!(count(Deliveries, None, None).await, 12);
        assert_eq!(count(Deliveries, None, Some("DeliveryCanceled")).await, 3);
    })
    .await;
}

#[tokio::test]
async fn messages_are_found_by_what_became_of_them_and_by_order() {
    each_backend(async |at: TestLog| {
        let world = filled(at).await;
        let count = async |filter: MessageFilter| {
            let page = world
                .views
                .message_rows(&filter, &page(100, None))
                .await
                .unwrap();
            page.rows.len()
        };
        let all = MessageFilter::default;
        assert_eq!(count(all()).await, 9);
        let failed = MessageFilter {
            state: Some(MessageState::Failed),
            ..all()
        };
        assert_eq!(count(failed).await, 3);
        let sent = MessageFilter {
            state: Some(MessageState::Sent),
            status: Some(String::from("Shipped")),
            ..all()
        };
        assert_eq!(count(sent).await, 6);
        let of_order = MessageFilter {
            order_id: Some(order_of(2).to_string()),
            ..all()
        };
        assert_eq!(count(of_order).await, 1);
    })
    .await;
}

#[tokio::test]
async fn the_sweeper_gets_what_is_due_longest_overdue_first() {
    each_backend(async |at: TestLog| {
        let world = filled(at).await;
        let due = world.views.due_sagas(Utc::now(), 100).await.unwrap().rows;
        assert!(!due.is_empty());
        assert!(due.is_sorted_by_key(|row| row.due_at));
        assert!(due.iter().all(|row| row.due_at.is_some()));
        let long_ago = due[0].due_at.unwrap() - TimeDelta::seconds(1);
        assert!(
            world
                .views
                .due_sagas(long_ago, 100)
                .await
                .unwrap()
                .rows
                .is_empty()
        );
        assert_eq!(
            world.views.due_sagas(Utc::now(), 2).await.unwrap().rows,
            due[..2]
        );
    })
    .await;
}

#[tokio::test]
async fn sagas_are_listed_by_status_step_and_what_is_overdue() {
    each_backend(async |at: TestLog| {
        let world = filled(at).await;
        let parked = SagaFilter {
            status: Some(String::from("parked")),
            ..SagaFilter::default()
        };
        let parked = world
            .views
            .saga_rows(&parked, &page(100, None))
            .await
            .unwrap()
            .rows;
        assert_eq!(parked.len(), 3);
        assert_eq!(parked[0].at_stake.as_ref().unwrap().amount, 33_000);
        assert_eq!(parked[0].suggestion.as_deref(), Some("Ask the provider."));
        let overdue = SagaFilter {
            step: Some(String::from("pay")),
            due_by: Some(Utc::now()),
            ..SagaFilter::default()
        };
        let overdue = world
            .views
            .saga_rows(&overdue, &page(100, None))
            .await
            .unwrap()
            .rows;
        assert!(overdue.iter().all(|row| row.step.as_deref() == Some("pay")));
        assert!(!overdue.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_cursor_is_refused_by_another_list_or_filter() {
    each_backend(async |at: TestLog| {
        let world = filled(at).await;
        let all = CustomerFilter::default();
        let next = world
            .views
            .customer_rows(&all, &page(3, None))
            .await
            .unwrap()
            .next;
        assert!(next.is_some());
        let mine = CustomerFilter {
            customer_id: Some(String::from("1")),
            ..CustomerFilter::default()
        };
        let other = world
            .views
            .customer_rows(&mine, &page(3, next.clone()))
            .await;
        assert!(matches!(other, Err(QueryError::Cursor)));
        let messages = MessageFilter::default();
        let other = world.views.message_rows(&messages, &page(3, next)).await;
        assert!(matches!(other, Err(QueryError::Cursor)));
    })
    .await;
}
