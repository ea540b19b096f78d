//! Real time and small numbers: the breaker beneath takes its time from the machine's clock.

use std::sync::Arc;

use super::*;

const OPEN_FOR: Duration = Duration::from_millis(60);
const SLOW: Duration = Duration::from_millis(40);

fn policy() -> Policy {
    Policy {
        slow_call: SLOW,
        min_calls: 4,
        open_for: OPEN_FOR,
        probes: 2,
        concurrency: 4,
        time_limit: Duration::from_millis(200),
        ..Policy::default()
    }
}

fn guard(policy: &Policy) -> Guard {
    Guard::new("payment", policy)
}

fn caller(number: u128) -> Caller {
    (Uuid::from_u128(number), "pay")
}

fn fine(answer: &bool) -> bool {
    *answer
}

async fn answers(guard: &Guard, healthy: bool) -> Result<bool, Cut> {
    guard.call(caller(0), fine, async move { healthy }).await
}

async fn opened(policy: &Policy) -> Guard {
    let guard = guard(policy);
    for _ in 0..policy.min_calls {
        assert_eq!(answers(&guard, false).await, Ok(false));
    }
    assert_eq!(guard.reading().position, Position::Open);
    guard
}

/// Until the breaker lets somebody try.
async fn leave(guard: &Guard, caller: Caller) {
    let until = Instant::now() + Duration::from_secs(10);
    while let Err(wait) = guard.ask(caller) {
        assert!(Instant::now() < until, "nobody is ever let through again");
        tokio::time::sleep(wait).await;
    }
}

#[tokio::test]
async fn it_opens_when_enough_of_the_latest_calls_failed_and_lets_nobody_through() {
    let guard = guard(&policy());
    for healthy in [true, true, false] {
        assert_eq!(answers(&guard, healthy).await, Ok(healthy));
    }
    assert_eq!(guard.ask(caller(1)), Ok(()));
    assert_eq!(answers(&guard, false).await, Ok(false));
    let wait = guard.ask(caller(1)).unwrap_err();
    assert!(wait <= OPEN_FOR, "{wait:?}");
    assert_eq!(answers(&guard, true).await, Err(Cut::Away));
}

#[tokio::test]
async fn a_refusal_is_a_healthy_answer() {
    let guard = guard(&policy());
    for _ in 0..20 {
        // What counts is what the caller says of the answer, not the answer.
        let answer = guard.call(caller(0), |_| true, async { "declined" }).await;
        assert_eq!(answer, Ok("declined"));
    }
    assert_eq!(guard.reading().position, Position::Closed);
}

#[tokio::test]
async fn it_opens_when_calls_are_slow_although_they_go_well() {
    let guard = guard(&policy());
    for _ in 0..4 {
        let slow = async {
            tokio::time::sleep(SLOW).await;
            true
        };
        assert_eq!(guard.call(caller(0), fine, slow).await, Ok(true));
    }
    assert!(guard.ask(caller(1)).is_err());
}

#[tokio::test]
async fn failing_and_slow_calls_have_a_share_each_from_which_on_it_opens() {
    for (failing_percent, slow_percent, opens) in [(75, 25, true), (75, 50, false), (25, 75, true)]
    {
        let guard = guard(&Policy {
            failing_percent,
            slow_percent,
            ..policy()
        });
        // One of four fails, and one of four is slow.
        for healthy in [true, true, false] {
            answers(&guard, healthy).await.unwrap();
        }
        let slow = async {
            tokio::time::sleep(SLOW).await;
            true
        };
        assert_eq!(guard.call(caller(0), fine, slow).await, Ok(true));
        let is_open = guard.ask(caller(1)).is_err();
        assert_eq!(is_open, opens, "{failing_percent} {slow_percent}");
    }
}

#[tokio::test]
async fn calls_that_are_further_back_than_the_window_say_nothing() {
    for (window, opens) in [
        (Duration::from_millis(50), false),
        (Duration::from_secs(60), true),
    ] {
        let guard = guard(&Policy { window, ..policy() });
        for _ in 0..3 {
            assert_eq!(answers(&guard, false).await, Ok(false));
        }
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(answers(&guard, false).await, Ok(false));
        assert_eq!(guard.ask(caller(1)).is_err(), opens, "{window:?}");
    }
}

#[tokio::test]
async fn only_the_configured_few_try_and_it_closes_by_itself_when_they_went_well() {
    let guard = opened(&policy()).await;
    leave(&guard, caller(1)).await;
    assert_eq!(guard.ask(caller(2)), Ok(()));
    assert_eq!(guard.ask(caller(1)), Ok(()), "asking twice takes one place");
    assert_eq!(guard.ask(caller(3)), Err(WHILE_TRYING));
    assert_eq!(answers(&guard, true).await, Err(Cut::Away), "no leave");
    for number in [1, 2] {
        let tried = guard.call(caller(number), fine, async { true }).await;
        assert_eq!(tried, Ok(true));
    }
    assert_eq!(guard.reading().position, Position::Closed);
    assert_eq!(guard.ask(caller(3)), Ok(()));
}

#[tokio::test]
async fn it_opens_again_when_a_try_failed_or_was_slow() {
    for (answer, takes) in [(false, Duration::ZERO), (true, SLOW)] {
        let guard = opened(&policy()).await;
        leave(&guard, caller(1)).await;
        let tried = guard.call(caller(1), fine, async move {
            tokio::time::sleep(takes).await;
            answer
        });
        assert_eq!(tried.await, Ok(answer));
        assert_eq!(guard.reading().position, Position::Open);
    }
}

#[tokio::test]
async fn a_caller_that_was_let_through_and_never_calls_does_not_keep_its_place() {
    let guard = opened(&policy()).await;
    leave(&guard, caller(1)).await;
    leave(&guard, caller(2)).await;
    assert!(guard.ask(caller(3)).is_err());
    guard.forget(caller(1));
    assert_eq!(guard.ask(caller(3)), Ok(()), "given back");
    assert!(guard.ask(caller(4)).is_err());
    for place in guard.places().values_mut() {
        place.given -= LEAVE_KEPT;
    }
    assert_eq!(guard.ask(caller(4)), Ok(()), "not used in time");
    assert_eq!(guard.places().len(), 1);
    // Nor does one that was cut off in the middle of its call.
    drop(
        tokio::time::timeout(
            Duration::ZERO,
            guard.call(caller(4), fine, std::future::pending()),
        )
        .await,
    );
    assert_eq!(guard.ask(caller(5)), Ok(()));
    assert_eq!(guard.ask(caller(6)), Ok(()));
}

#[tokio::test]
async fn it_closes_although_the_tries_are_further_apart_than_the_window() {
    let policy = Policy {
        window: Duration::from_millis(5),
        ..policy()
    };
    let guard = guard(&policy);
    guard.stack.open().await;
    for number in 1..=2 {
        leave(&guard, caller(number)).await;
        tokio::time::sleep(policy.window * 2).await;
        assert_eq!(
            guard.call(caller(number), fine, async { true }).await,
            Ok(true)
        );
    }
    assert_eq!(guard.reading().position, Position::Closed);
}

#[tokio::test]
async fn a_switched_off_breaker_never_opens() {
    let guard = guard(&Policy {
        breaker: false,
        ..policy()
    });
    for _ in 0..20 {
        assert_eq!(answers(&guard, false).await, Ok(false));
    }
    assert_eq!(guard.ask(caller(1)), Ok(()));
    assert_eq!(answers(&guard, true).await, Ok(true));
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_cut_and_counts_as_a_failure() {
    let guard = guard(&policy());
    for _ in 0..4 {
        let never = guard.call(caller(0), fine, std::future::pending());
        assert_eq!(never.await, Err(Cut::TimedOut));
    }
    assert_eq!(guard.reading().position, Position::Open);
}

#[tokio::test]
async fn a_full_bulkhead_sends_nothing_and_is_not_held_against_the_provider() {
    let guard = Arc::new(guard(&Policy {
        time_limit: Duration::from_secs(10),
        ..policy()
    }));
    let calls: Vec<_> = (0..4)
        .map(|number| {
            let guard = Arc::clone(&guard);
            tokio::spawn(async move {
                let never = guard.call(caller(number), fine, std::future::pending());
                never.await
            })
        })
        .collect();
    while guard.reading().in_flight < 4 {
        tokio::task::yield_now().await;
    }
    for _ in 0..4 {
        assert_eq!(answers(&guard, true).await, Err(Cut::Full));
    }
    assert_eq!(guard.reading().position, Position::Closed);
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    for call in calls {
        assert!(call.await.is_err_and(|error| error.is_cancelled()));
    }
    assert_eq!(guard.reading().in_flight, 0);
    assert_eq!(answers(&guard, true).await, Ok(true));
}
