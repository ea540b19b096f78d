//! Reading a long stretch of the log in bulk.

use tokio::sync::mpsc;

use crate::error::ReadError;
use crate::event::RecordedEvent;

/// A bulk read in progress, in the order of positions. It runs on threads of its own; dropping it stops them.
#[derive(Debug)]
pub struct Scan {
    /// Several threads read stretches in turn; the pages of a stretch are all in one lane.
    lanes: Vec<mpsc::Receiver<Step>>,
    turn: usize,
    ended: bool,
}

#[derive(Debug)]
enum Step {
    Page(Vec<RecordedEvent>),
    /// The stretch is complete; the next one is in the next lane.
    Turn,
    Failed(ReadError),
    /// Said in so many words, so that a thread that dies is never taken for one that has finished.
    Complete,
}

/// The producing side.
pub(crate) struct Pages(mpsc::Sender<Step>);

impl Scan {
    /// Runs `produce` for each of so many lanes, on a thread each. An error that one returns is the last thing the reader gets
    /// of it. `ahead` pages of each lane may wait for a slow reader: two keep a thread busy while one is being worked on.
    pub(crate) fn spawn(
        lanes: usize,
        ahead: usize,
        produce: impl Fn(usize, &Pages) -> Result<(), ReadError> + Clone + Send + 'static,
    ) -> Scan {
        let lane = |lane| {
            let produce = produce.clone();
            spawn_lane(ahead, move |pages| produce(lane, pages))
        };
        Scan {
            lanes: (0..lanes.max(1)).map(lane).collect(),
            turn: 0,
            ended: false,
        }
    }

    /// The next page; `None` after the last one. After an error there is nothing more.
    pub async fn next(&mut self) -> Option<Result<Vec<RecordedEvent>, ReadError>> {
        while !self.ended {
            match self.lanes[self.turn].recv().await {
                Some(Step::Page(page)) => return Some(Ok(page)),
                Some(Step::Turn) => self.turn = (self.turn + 1) % self.lanes.len(),
                // The stretch whose turn it is begins behind the end.
                Some(Step::Complete) => self.ended = true,
                Some(Step::Failed(error)) => {
                    self.ended = true;
                    return Some(Err(error));
                }
                None => {
                    self.ended = true;
                    return Some(Err(ReadError::Unavailable(
                        "the scan stopped half-way".to_owned(),
                    )));
                }
            }
        }
        None
    }
}

fn spawn_lane(
    ahead: usize,
    produce: impl FnOnce(&Pages) -> Result<(), ReadError> + Send + 'static,
) -> mpsc::Receiver<Step> {
    let (sender, pages) = mpsc::channel(ahead);
    let refused = sender.clone();
    let run = move || {
        let pages = Pages(sender);
        let last = match produce(&pages) {
            Ok(()) => Step::Complete,
            Err(error) => Step::Failed(error),
        };
        pages.send(last);
    };
    if let Err(error) = std::thread::Builder::new()
        .name("eventstore-scan".to_owned())
        .spawn(run)
    {
        let error = ReadError::Unavailable(format!("no thread for the scan: {error}"));
        drop(refused.try_send(Step::Failed(error)));
    }
    pages
}

impl Pages {
    /// Hands a page to the reader. `false`: the reader has gone.
    pub(crate) fn push(&self, page: Vec<RecordedEvent>) -> bool {
        page.is_empty() || self.send(Step::Page(page))
    }

    /// Ends a stretch. `false`: the reader has gone.
    pub(crate) fn turn(&self) -> bool {
        self.send(Step::Turn)
    }

    fn send(&self, step: Step) -> bool {
        self.0.blocking_send(step).is_ok()
    }
}
