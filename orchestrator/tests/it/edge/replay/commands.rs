//! What the command prints, how it ends, and what it leaves to do.

use serde_json::Value;

use super::shelf::{FIRST_TABLE, Shelf, each};
use crate::edge::child::{Serving, complaint};
use eventstore::Position;
use eventstore::testing::TestLog;
use projections::View;

#[tokio::test(flavor = "multi_thread")]
async fn progress_comes_line_by_line_and_the_result_last() {
    each(300, async |shelf: Shelf| {
        let lines = shelf.lines(&["replay", "all", "--parallel", "2"], 0);
        let (result, steps) = lines.split_last().expect("lines");
        let rebuilt = result["rebuilt"].as_array().expect("views");
        let views: Vec<&Value> = rebuilt.iter().map(|done| &done["view"]).collect();
        assert_eq!((&result["type"], views.len()), (&"result".into(), 3));
        assert!(
            rebuilt
                .iter()
                .all(|done| done["events"] == shelf.events && done["live"] == true)
        );
        let cores = std::thread::available_parallelism().expect("cores").get();
        assert!(rebuilt.iter().all(|done| done["workers"] == cores.min(2)));
        for view in views {
            let of = steps.iter().filter(|step| step["view"] == *view);
            let of: Vec<&Value> = of.collect();
            assert!(of.iter().all(|step| step["type"] == "progress"
                && step["total"] == shelf.events
                && step["perSecond"].is_number()));
            let phases: Vec<&str> = of.iter().filter_map(|it| it["phase"].as_str()).collect();
            assert_eq!(phases.first(), Some(&"reading"));
            assert_eq!(phases.last(), Some(&"catchingUp"));
            // There is no pace before anything was read; then the rest always takes some time, and in the end none.
            let mut told = of.iter().skip(1).map(|step| step["etaSeconds"].as_f64());
            assert!(told.all(|eta| eta >= Some(0.0)), "{of:?}");
            let last = of.last().map(|step| &step["etaSeconds"]);
            assert_eq!(last.and_then(|eta| eta.as_f64()), Some(0.0), "{of:?}");
            let positions = of.iter().map(|step| step["position"].as_i64());
            assert!(positions.is_sorted(), "{steps:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_names_the_rows_that_drifted_and_leaves_the_cutover_to_a_person() {
    each(100, async |shelf: Shelf| {
        let right = shelf.digest().await;
        shelf.drift(10);
        let drifted = shelf.digest().await;
        let output = shelf.run(&["replay", "customer", "--verify"], 1);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(told.matches("doc.total").count(), 10, "{told}");
        assert!(told.contains("10 of 100 rows differ"), "{told}");
        let advice = complaint(&output);
        assert!(advice.contains("replay customer --resume"), "{advice}");
        assert_eq!(shelf.digest().await, drifted, "nothing was cut over");

        let lines = shelf.lines(&["replay", "customer", "--resume", "--verify"], 1);
        let found = &lines.last().expect("a result")["rebuilt"][0]["verification"];
        assert_eq!(found["differing"], 10);
        assert_eq!(found["differences"][0]["fields"][0]["old"], 1);

        shelf.run(&["replay", "customer", "--resume"], 0);
        assert_eq!(shelf.digest().await, right);
        let output = shelf.run(&["replay", "customer", "--verify"], 0);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(told.contains("all 100 rows agree"), "{told}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_built_now_cut_over_later_and_the_old_one_dropped_when_somebody_says_so() {
    each(50, async |shelf: Shelf| {
        let built = shelf.run(&["replay", "customer", "--cutover", "manual"], 0);
        assert!(complaint(&built).contains("replay customer --resume"));
        assert!(shelf.has_table(FIRST_TABLE) && shelf.has_table("view_customer_2"));
        let none = shelf.run(&["replay", "customer", "--drop-old"], 0);
        assert!(complaint(&none).contains("has no old table"));

        // Of all views only this one has something to resume.
        let lines = shelf.lines(&["replay", "all", "--resume"], 0);
        let done = lines.last().expect("a result")["rebuilt"].clone();
        assert_eq!(done.as_array().map(Vec::len), Some(1), "{done}");
        assert_eq!(
            (&done[0]["view"], &done[0]["generation"]),
            (&"customer".into(), &2.into())
        );
        assert!(shelf.has_table(FIRST_TABLE), "it stays");
        let nothing = shelf.run(&["replay", "all", "--resume"], 1);
        assert!(complaint(&nothing).contains("without --resume"));
        let nothing = shelf.run(&["replay", "customer", "--resume"], 1);
        assert!(complaint(&nothing).contains("no rebuild of the view customer to resume"));

        let dropped = shelf.run(&["replay", "customer", "--drop-old"], 0);
        assert!(complaint(&dropped).contains("is dropped"));
        assert!(!shelf.has_table(FIRST_TABLE) && shelf.has_table("view_customer_2"));
        shelf.run(&["replay", "customer"], 0);
        shelf.run(&["replay", "customer"], 0);
        let old = ["view_customer_2", "view_customer_3", "view_customer_4"];
        let kept = old.map(|table| shelf.has_table(table));
        assert_eq!(kept, [false, true, true], "never more than one old table");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_holds_the_store_does_all_of_it_when_asked() {
    let shelf = Shelf::with(TestLog::sqlite(), 50).await;
    shelf.drift(3);
    let serving = Serving::start(shelf.command(&[]));
    let lines = shelf.lines(&["replay", "all", "--verify", "--parallel", "2"], 1);
    let done = lines.last().expect("a result")["rebuilt"].clone();
    let differing = [0, 1, 2].map(|nth| done[nth]["verification"]["differing"].as_i64());
    assert_eq!(differing, [Some(3), Some(0), Some(0)]);
    let live = [0, 1, 2].map(|nth| done[nth]["live"].as_bool());
    assert_eq!(live, [Some(false), Some(true), Some(true)]);
    let resumed = shelf.run(&["replay", "all", "--resume"], 0);
    assert!(complaint(&resumed).contains(&serving.url));
    let dropped = shelf.run(&["replay", "all", "--drop-old"], 0);
    assert_eq!(complaint(&dropped).matches("is dropped").count(), 3);
    let nothing = shelf.run(&["replay", "message", "--resume"], 1);
    assert!(complaint(&nothing).contains("to resume"));
    shelf.run(&["replay", "customer", "--cutover", "manual"], 0);
    let verified = shelf.run(&["replay", "customer", "--resume", "--verify"], 0);
    assert!(String::from_utf8_lossy(&verified.stdout).contains("all 50 rows agree"));
    assert_eq!(shelf.position(View::Customer).await, Position(shelf.events));
}
