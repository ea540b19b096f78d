//! Money.

use super::*;

#[tokio::test]
async fn money_is_taken_once_found_given_back_once_and_listed() {
    let (world, order) = (World::open().await, Uuid::now_v7());
    let toss = &world.toss;
    assert_eq!(toss.probe(order, "k").await, Found::Nothing);
    let taken = moved(toss.charge(charge(order, "pk_contract")).await);
    assert_eq!(
        moved(toss.charge(charge(order, "pk_contract")).await),
        taken
    );
    assert_eq!(toss.probe(order, "k").await, Found::Done(taken.clone()));

    let asked = || refund(order, &taken.reference);
    assert_eq!(toss.probe_refund(asked()).await, Found::Nothing);
    let back = moved(toss.refund(refund(order, &taken.reference)).await);
    assert_eq!(
        moved(toss.refund(refund(order, &taken.reference)).await),
        back
    );
    assert_eq!(toss.probe_refund(asked()).await, Found::Done(back.clone()));
    assert_eq!(
        (world.done("charge").await, world.done("refund").await),
        (1, 1)
    );

    let since = Utc::now() - chrono::Duration::hours(1);
    let Found::Done(page) = toss.records(since, None).await else {
        panic!("no list");
    };
    let listed: Vec<_> = page
        .records
        .iter()
        .map(|it| {
            (
                it.direction,
                it.charge_ref.as_str(),
                it.reference.as_str(),
                it.amount,
            )
        })
        .collect();
    assert_eq!(
        listed,
        [
            (
                Direction::Charged,
                taken.reference.as_str(),
                taken.reference.as_str(),
                won(33_000)
            ),
            (
                Direction::Returned,
                taken.reference.as_str(),
                back.reference.as_str(),
                won(33_000)
            ),
        ]
    );
    world.server.stop().await;
}

#[tokio::test]
async fn a_declined_payment_is_declined_for_the_answer_and_for_the_look() {
    let (world, order) = (World::open().await, Uuid::now_v7());
    let answer = world.toss.charge(charge(order, "decline:1")).await;
    let Answer::Refused(refusal) = answer else {
        panic!("{answer:?}");
    };
    let Found::Refused(found) = world.toss.probe(order, "k").await else {
        panic!("nothing is found of it");
    };
    assert_eq!((found.code, world.done("charge").await), (refusal.code, 0));
    world.server.stop().await;
}

#[tokio::test]
async fn each_way_for_a_charge_to_go_wrong_ends_in_one_charge() {
    for (fault, first) in [
        // What was made although the answer was lost is found within the same call.
        ("commit-then-drop", "done"),
        ("error-after-commit", "done"),
        ("drop-before-commit", "unknown"),
        ("in-progress", "undecided"),
        ("delay", "unknown"),
    ] {
        let world = World::with(Duration::from_hours(1), SHORT).await;
        let order = Uuid::now_v7();
        world.fault("payment", "charge", fault, Value::Null).await;
        let answer = world.toss.charge(charge(order, "pk_fault")).await;
        assert_eq!(word(&answer), first, "{fault}: {answer:?}");
        world.heal().await;
        let again = moved(world.toss.charge(charge(order, "pk_fault")).await);
        assert_eq!(
            world.toss.probe(order, "k").await,
            Found::Done(again),
            "{fault}"
        );
        assert_eq!(world.done("charge").await, 1, "{fault}");
        world.server.stop().await;
    }
}

#[tokio::test]
async fn a_provider_that_is_down_was_sent_nothing_or_says_so() {
    let world = World::with(Duration::from_hours(1), SHORT).await;
    let order = Uuid::now_v7();
    world.fault("payment", "charge", "down", Value::Null).await;
    let answer = world.toss.charge(charge(order, "pk_down")).await;
    assert!(
        matches!(word(&answer), "unknown" | "not sent"),
        "{answer:?}"
    );
    world.heal().await;
    moved(world.toss.charge(charge(order, "pk_down")).await);
    assert_eq!(world.done("charge").await, 1);
    world.server.stop().await;
}

#[tokio::test]
async fn a_refund_that_takes_its_time_is_undecided_until_it_is_through() {
    let (world, order) = (World::open().await, Uuid::now_v7());
    let taken = moved(world.toss.charge(charge(order, "pk_async")).await);
    world.fault("payment", "refund", "async", Value::Null).await;
    let first = world.toss.refund(refund(order, &taken.reference)).await;
    // The provider is well and said so: this is no reason to leave it alone.
    assert_eq!(word(&first), "undecided");
    world.heal().await;
    let through = async {
        while !matches!(
            world.toss.refund(refund(order, &taken.reference)).await,
            Answer::Done(_)
        ) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, through)
        .await
        .expect("it comes through");
    assert_eq!(world.done("refund").await, 1);
    world.server.stop().await;
}

#[tokio::test]
async fn a_refund_that_is_refused_says_why_and_moves_nothing() {
    let (world, order) = (World::open().await, Uuid::now_v7());
    let taken = moved(world.toss.charge(charge(order, "pk_refused")).await);
    world
        .fault(
            "payment",
            "refund",
            "refuse",
            json!("EXCEED_MAX_REFUND_DUE"),
        )
        .await;
    let answer = world.toss.refund(refund(order, &taken.reference)).await;
    assert_eq!(word(&answer), "exceed-max-refund-due");
    assert_eq!(world.done("refund").await, 0);
    world.server.stop().await;
}

#[tokio::test]
async fn one_charge_of_two_is_found_whatever_became_of_the_other() {
    let (world, order) = (World::open().await, Uuid::now_v7());
    let toss = &world.toss;
    let own = moved(toss.charge(charge(order, "pk_own")).await);
    let planted = json!({ "orderId": order, "amount": 33_000 });
    let second = world.http.post(format!("{}/charges", world.server.url()));
    let second = second.json(&planted).send().await.expect("an answer");
    assert_eq!(second.status().as_u16(), 201);
    let since = Utc::now() - chrono::Duration::hours(1);
    let Found::Done(page) = toss.records(since, None).await else {
        panic!("no list");
    };
    let both: Vec<_> = page.records.into_iter().map(|it| it.charge_ref).collect();
    assert_eq!((both.len(), &both[0]), (2, &own.reference));
    let name = |charge_ref: &str| ChargeName {
        order_id: order,
        charge_ref: charge_ref.to_owned(),
        charged_after: since,
    };
    let now = async |charge_ref: &str| match toss.find(name(charge_ref)).await {
        Found::Done(now) => (now.amount, now.returned, now.last_refund),
        other => panic!("{other:?}"),
    };
    for charge_ref in &both {
        assert_eq!(now(charge_ref).await, (won(33_000), won(0), None));
    }
    let back = moved(toss.refund(refund(order, &both[1])).await);
    let all = (won(33_000), won(33_000), Some(back.reference));
    assert_eq!(now(&both[1]).await, all);
    assert_eq!(now(&both[0]).await, (won(33_000), won(0), None));
    let nobodys = name("toss-00000000000000000000000000000000");
    assert_eq!(toss.find(nobodys).await, Found::Nothing);
    world.server.stop().await;
}
