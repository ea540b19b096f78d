//! The benches, as short as they go: each ends, holds what it measured against its bounds, and says it in every form.

use eventstore::testing::SERVER_VARIABLE;
use serde_json::Value;

use super::child::{bookmarket, complaint, run, with};

/// Runs one; its line of JSON, and what it said beside it.
fn bench(name: &str, arguments: &[&str]) -> (Value, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = std::env::var(SERVER_VARIABLE).expect("a server for tests");
    let mut command = with(bookmarket(folder.path()), &["bench", name, "--pairs", "3"]);
    command
        .args(arguments)
        .args(["--output", "json"])
        .env("DATABASE_URL", server);
    let output = run(command);
    let told = complaint(&output);
    assert!(output.status.success(), "{told}");
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(text.lines().count(), 1, "{text}");
    (serde_json::from_str(&text).expect("JSON"), told)
}

/// What every bench says; the names of its bounds.
fn check(name: &str, report: &Value, told: &str) -> Vec<String> {
    assert_eq!(report["bench"], name);
    for field in ["figure", "baseline", "ratio"] {
        let value = report[field].as_f64();
        assert!(value.is_some_and(|value| value > 0.0), "{field}: {report}");
    }
    assert_eq!(report["pairRatios"].as_array().map(Vec::len), Some(3));
    // The server is on this machine, so its CPU time is to be seen.
    let cpu = report["postgresCpuUsPerEvent"].as_f64();
    assert!(cpu.is_some_and(|us| us > 0.0), "{report}");
    let musts = report["musts"].as_array().expect("bounds");
    for must in musts {
        // Whether a figure keeps its bound on a machine that does other things as well says nothing, but it has to be a number.
        assert!(
            must["value"].is_number() && must["met"].is_boolean(),
            "{must}"
        );
        let row = format!("| `{name}` | {} | ", must["name"].as_str().expect("a name"));
        assert!(told.contains(&row), "no row for it: {row}\n{told}");
    }
    musts
        .iter()
        .map(|must| must["name"].as_str().expect("a name").to_owned())
        .collect()
}

fn check_percentiles(report: &Value) {
    for side in ["latencyMs", "baselineLatencyMs"] {
        let at = |name: &str| report[side][name].as_f64().unwrap_or_default();
        assert!(
            at("p50") > 0.0 && at("p50") <= at("p99") && at("p99") <= at("max"),
            "{report}"
        );
    }
}

#[test]
fn the_bench_of_appends_ends_with_all_its_figures() {
    let (report, told) = bench("append", &["--length", "300ms"]);
    assert_eq!(
        check("append", &report, &told),
        ["ratio", "postgres cpu", "p99 / raw p99"]
    );
    check_percentiles(&report);
}

#[test]
fn the_bench_of_orders_ends_with_all_its_figures() {
    let short = [
        "--length",
        "300ms",
        "--warm-up",
        "100",
        "--open-length",
        "1s",
        "--overload-length",
        "500ms",
        "--recovery-length",
        "1s",
    ];
    let (report, told) = bench("orders", &short);
    let musts = check("orders", &report, &told);
    for about in [
        "ratio",
        "beside it",
        "idle",
        "memory, most",
        "late / early",
        "offered",
        "paid",
        "recovered",
    ] {
        assert!(
            musts.iter().any(|must| must.contains(about)),
            "{about}: {musts:?}"
        );
    }
    check_percentiles(&report);
}

#[test]
fn the_bench_of_replays_ends_with_all_its_figures() {
    let (report, told) = bench("replay", &["--orders", "200"]);
    let musts = check("replay", &report, &told);
    for about in [
        "ratio",
        "memory (MiB)",
        "memory / a tenth's",
        "--parallel 2 / 1",
    ] {
        assert!(
            musts.iter().any(|must| must.contains(about)),
            "{about}: {musts:?}"
        );
    }
}
