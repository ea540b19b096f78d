//! Threads that belong to one rebuild. Decoding and folding are pure and long: done by the runtime's own
//! threads they would hold up the requests of the same process.

use std::sync::mpsc;
use std::thread;

use rustix::process::nice;
use tokio::sync::oneshot;

use crate::error::RunError;

type Job = Box<dyn FnOnce() + Send>;

/// How much they stand back where orders are taken in the same process: what has no other work for a core
/// still gives them all of it.
const STEP_BACK: i32 = 10;

/// The threads, by number. They end, after what they have in hand, when the crew is dropped.
pub(crate) struct Crew {
    hands: Vec<mpsc::Sender<Job>>,
}

impl Crew {
    /// Starts so many threads; `gentle`: whatever else the machine does goes first.
    pub(crate) fn start(hands: usize, gentle: bool) -> Result<Self, RunError> {
        let hands = (0..hands).map(|number| hand(number, gentle));
        let hands = hands.collect::<Result<_, _>>()?;
        Ok(Self { hands })
    }

    /// Does a piece of work on the thread of that number, after what was given to it earlier. A caller
    /// that goes away leaves it to be done.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        hand: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, RunError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Nobody may be waiting for it any more.
            let _ = answer.send(work());
        });
        self.hands[hand].send(job).map_err(|_| RunError::HandGone)?;
        answered.await.map_err(|_| RunError::HandGone)
    }
}

fn hand(number: usize, gentle: bool) -> Result<mpsc::Sender<Job>, RunError> {
    let (jobs, queue) = mpsc::channel::<Job>();
    let work = move || {
        if gentle {
            // Of this thread alone. A system that does not let it has it work like all others.
            let _ = nice(STEP_BACK);
        }
        queue.into_iter().for_each(|job| job());
    };
    thread::Builder::new()
        .name(format!("rebuild-{number}"))
        .spawn(work)
        .map_err(RunError::NoHand)?;
    Ok(jobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_hand_does_its_own_work_in_order() {
        let crew = Crew::start(2, true).expect("threads");
        let here = || thread::current().name().map(str::to_owned);
        for _ in 0..3 {
            let (zero, one) = tokio::join!(crew.run(0, here), crew.run(1, here));
            assert_eq!(zero.expect("done").as_deref(), Some("rebuild-0"));
            assert_eq!(one.expect("done").as_deref(), Some("rebuild-1"));
        }
    }

    #[tokio::test]
    async fn a_gentle_hand_stands_back_and_nobody_else_does() {
        let priority = || nice(0).expect("a priority");
        let mine = priority();
        let crew = Crew::start(1, true).expect("threads");
        let theirs = crew.run(0, priority).await.expect("done");
        assert_eq!((theirs, priority()), (mine + STEP_BACK, mine));
    }

    #[tokio::test]
    async fn a_hand_that_has_died_says_so() {
        let crew = Crew::start(1, false).expect("threads");
        let died: Result<(), RunError> = crew.run(0, || panic!("planted")).await;
        assert!(matches!(died, Err(RunError::HandGone)));
        assert!(matches!(crew.run(0, || ()).await, Err(RunError::HandGone)));
    }
}
