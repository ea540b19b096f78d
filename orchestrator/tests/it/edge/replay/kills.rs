//! A rebuild that is killed at any moment.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::shelf::{Shelf, each};
use crate::edge::child::{complaint, run};
use crate::edge::server::PATIENCE;
use crate::soak::{is_on, size};

/// What chance is drawn from.
const SEED: u64 = 20_261_128;

/// A process that is killed as it starts, or has ended, was not rebuilding. That may be so for most of them.
const MISSES_PER_KILL: usize = 20;

/// Checkpoints come so often that most kills come between two of them.
const REPLAY: [&str; 6] = [
    "replay",
    "customer",
    "--parallel",
    "2",
    "--checkpoint-every",
    "40ms",
];

/// Kills a rebuild after a while, unless it has ended.
fn kill_after(mut command: Command, delay: Duration) {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    std::thread::sleep(delay);
    // Gone already, if the delay was long.
    drop(child.kill());
    child.wait().expect("its end");
}

/// What it took to end a rebuild.
enum End {
    /// The killed one had begun a table that was not live yet.
    Resumed,
    /// It had not begun, or had ended.
    Anew,
}

/// Takes a rebuild up, or begins anew where the killed one had left nothing or had ended.
fn end(shelf: &Shelf) -> End {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut resume = shelf.command(&REPLAY);
        resume.arg("--resume");
        let resumed = run(resume);
        let complaint = complaint(&resumed);
        if resumed.status.success() {
            return End::Resumed;
        }
        if complaint.contains("to resume") {
            shelf.run(&REPLAY, 0);
            return End::Anew;
        }
        // The server has not noticed yet that the killed one is gone.
        assert!(
            complaint.contains("being rebuilt already") && Instant::now() < deadline,
            "{complaint}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_is_killed_at_any_moment_and_taken_up_again_shows_the_same_rows() {
    // Long enough to be killed in the middle; long builds are for quiet machines.
    let orders = if is_on() { 3_000 } else { 600 };
    each(orders, async |shelf: Shelf| {
        let right = shelf.digest().await;
        let began = Instant::now();
        shelf.run(&REPLAY, 0);
        let whole = began.elapsed();
        let mut chance = fastrand::Rng::with_seed(SEED);
        let kills = size(50);
        let (mut equal, mut killed, mut missed) = (0, 0, 0);
        // One that comes before the table was begun or after it was live hits no rebuild, and does not count.
        while killed < kills {
            kill_after(shelf.command(&REPLAY), whole.mul_f64(chance.f64()));
            match end(&shelf) {
                End::Resumed => killed += 1,
                End::Anew => missed += 1,
            }
            equal += usize::from(shelf.digest().await == right);
            assert!(missed < MISSES_PER_KILL * kills, "hardly any rebuild is hit");
        }
        let line = format!(
            "figure: rebuild-killed seed={SEED} events={} kills={killed} missed={missed} equal={equal}",
            shelf.events
        );
        writeln!(std::io::stdout().lock(), "\n{line}").expect("a line");
        assert_eq!(equal, killed + missed);
    })
    .await;
}
