//! Readers of the stream that have bad luck with what comes, each by one of the two rules that README has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_nats::jetstream::{AckKind, Message};
use fastrand::Rng;
use orchestrator::bus::relay::message::POSITION;

use super::consumers::{body, header, number};

/// For how long something is put off: others overtake it.
const PUT_OFF: Duration = Duration::from_millis(20);

/// How many of a hundred messages each kind of bad luck befalls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Luck {
    /// Taken, and nothing is said: it comes again.
    pub(super) twice: u8,
    /// Put off.
    pub(super) late: u8,
    /// It comes after the one that follows it.
    pub(super) reordered: u8,
    /// Delivered, and lost before it was taken: nothing is said either. Whoever reads in order waits for it to come again.
    pub(super) lost: u8,
}

impl Luck {
    pub(super) const GOOD: Luck = Luck {
        twice: 0,
        late: 0,
        reordered: 0,
        lost: 0,
    };

    /// Some of everything.
    pub(super) const BAD: Luck = Luck {
        twice: 10,
        late: 10,
        reordered: 10,
        lost: 3,
    };
}

/// What became of a message that could be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Taken,
    /// And nothing was said.
    TakenInSilence,
    PutOff,
    Lost,
}

/// What came to a reader other than once and in order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) twice: usize,
    /// It was put off by its reader.
    pub(super) late: usize,
    pub(super) overtaken: usize,
    pub(super) lost: usize,
}

impl Seen {
    pub(super) fn of_all_kinds(&self) {
        let least = self.twice.min(self.late).min(self.overtaken).min(self.lost);
        assert!(least > 0, "{self:?}");
    }
}

/// What befalls messages, drawn from one seed.
struct Fortune {
    dice: Rng,
    luck: Luck,
    seen: Seen,
}

impl Fortune {
    fn new(dice: Rng, luck: Luck) -> Fortune {
        let seen = Seen::default();
        Fortune { dice, luck, seen }
    }

    /// Draws for a message that could be taken, and says to the broker what follows from it.
    async fn draw(&mut self, message: &Message) -> Fate {
        let Luck {
            twice, late, lost, ..
        } = self.luck;
        let drawn = self.dice.u8(0..100);
        if drawn < twice {
            // Counted when it comes again.
            Fate::TakenInSilence
        } else if drawn < twice + late {
            self.seen.late += 1;
            say(message, put_off()).await;
            Fate::PutOff
        } else if drawn < twice + late + lost {
            self.seen.lost += 1;
            Fate::Lost
        } else {
            say(message, AckKind::Ack).await;
            Fate::Taken
        }
    }

    /// Some of them change places with the one before.
    fn reorder(&mut self, messages: &mut [Message]) {
        for nth in 1..messages.len() {
            if self.dice.u8(0..100) < self.luck.reordered {
                messages.swap(nth - 1, nth);
            }
        }
    }
}

impl Fate {
    fn is_taken(self) -> bool {
        matches!(self, Fate::Taken | Fate::TakenInSilence)
    }
}

/// Reads all of it: takes exactly the next, puts off what is further, skips what is less.
pub(super) struct Reader {
    fortune: Fortune,
    /// What it has taken, with the stream of each: whatever it made of that would be the same.
    pub(super) story: Vec<(String, String)>,
}

impl Reader {
    pub(super) fn new(dice: Rng, luck: Luck) -> Reader {
        Reader {
            fortune: Fortune::new(dice, luck),
            story: Vec::new(),
        }
    }

    pub(super) fn seen(&self) -> Seen {
        self.fortune.seen
    }

    /// The position that it takes next: everything before it is in the story.
    pub(super) fn next(&self) -> u64 {
        self.story.len() as u64 + 1
    }

    /// Those that came for one question.
    pub(super) async fn see_all(&mut self, mut messages: Vec<Message>) {
        self.fortune.reorder(&mut messages);
        for message in &messages {
            self.see(message).await;
        }
    }

    async fn see(&mut self, message: &Message) {
        let position: u64 = number(message, POSITION);
        if position < self.next() {
            self.fortune.seen.twice += 1;
            say(message, AckKind::Ack).await;
        } else if position > self.next() {
            self.fortune.seen.overtaken += 1;
            say(message, put_off()).await;
        } else if self.fortune.draw(message).await.is_taken() {
            let stream = header(message, "ce-subject").to_owned();
            self.story.push((stream, body(message)));
        }
    }
}

/// Reads one type, so that it sees gaps: of each stream it keeps what has the highest version.
pub(super) struct Latest {
    fortune: Fortune,
    pub(super) known: BTreeMap<String, (i64, String)>,
    /// Positions that it has taken, to tell what comes twice from what was overtaken.
    taken: BTreeSet<u64>,
}

impl Latest {
    pub(super) fn new(dice: Rng, luck: Luck) -> Latest {
        Latest {
            fortune: Fortune::new(dice, luck),
            known: BTreeMap::new(),
            taken: BTreeSet::new(),
        }
    }

    pub(super) fn seen(&self) -> Seen {
        self.fortune.seen
    }

    /// Those that came for one question.
    pub(super) async fn see_all(&mut self, mut messages: Vec<Message>) {
        self.fortune.reorder(&mut messages);
        for message in &messages {
            self.see(message).await;
        }
    }

    async fn see(&mut self, message: &Message) {
        let stream = header(message, "ce-subject");
        let version: i64 = number(message, "bookmarket-version");
        let position: u64 = number(message, POSITION);
        let known = self.known.get(stream).map(|(version, _)| *version);
        if known.is_some_and(|known| version <= known) {
            let twice = self.taken.contains(&position);
            self.fortune.seen.twice += usize::from(twice);
            self.fortune.seen.overtaken += usize::from(!twice);
            say(message, AckKind::Ack).await;
        } else if self.fortune.draw(message).await.is_taken() {
            let known = (version, body(message));
            self.known.insert(stream.to_owned(), known);
            self.taken.insert(position);
        }
    }
}

fn put_off() -> AckKind {
    AckKind::Nak(Some(PUT_OFF))
}

async fn say(message: &Message, word: AckKind) {
    message.ack_with(word).await.expect("it is sent");
}
