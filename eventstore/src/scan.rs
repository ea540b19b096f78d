//! Reading a long stretch of the log in bulk.

use tokio::sync::mpsc;

use crate::error::ReadError;
use crate::event::RecordedEvent;

/// Pages that may wait for a slow reader. Two keep the producing thread busy while one is being worked on.
const PAGES_AHEAD: usize = 2;

/// A bulk read in progress, in the order of positions. It runs on a thread of its own; dropping it stops that thread.
#[derive(Debug)]
pub struct Scan {
    pages: mpsc::Receiver<Step>,
    ended: bool,
}

#[derive(Debug)]
enum Step {
    Page(Vec<RecordedEvent>),
    Failed(ReadError),
    /// Said in so many words, so that a thread that dies is never taken for one that has finished.
    Complete,
}

/// The producing side.
pub(crate) struct Pages(mpsc::Sender<Step>);

impl Scan {
    /// Runs `produce` on a thread of its own. An error it returns is the last thing the reader gets.
    pub(crate) fn spawn(
        produce: impl FnOnce(&Pages) -> Result<(), ReadError> + Send + 'static,
    ) -> Scan {
        let (sender, pages) = mpsc::channel(PAGES_AHEAD);
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
        Scan {
            pages,
            ended: false,
        }
    }

    /// The next page; `None` after the last one. After an error there is nothing more.
    pub async fn next(&mut self) -> Option<Result<Vec<RecordedEvent>, ReadError>> {
        if self.ended {
            return None;
        }
        match self.pages.recv().await {
            Some(Step::Page(page)) => Some(Ok(page)),
            Some(Step::Complete) => {
                self.ended = true;
                None
            }
            Some(Step::Failed(error)) => {
                self.ended = true;
                Some(Err(error))
            }
            None => {
                self.ended = true;
                Some(Err(ReadError::Unavailable(
                    "the scan stopped half-way".to_owned(),
                )))
            }
        }
    }
}

impl Pages {
    /// Hands a page to the reader. `false`: the reader has gone.
    pub(crate) fn push(&self, page: Vec<RecordedEvent>) -> bool {
        page.is_empty() || self.send(Step::Page(page))
    }

    fn send(&self, step: Step) -> bool {
        self.0.blocking_send(step).is_ok()
    }
}
