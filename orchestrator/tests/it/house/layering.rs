//! Who may import whom. The table below is the rule; the tests read every source file against it.

use super::source::{File, files, text};

/// One area of the workspace and what none of its files may mention.
struct Wall {
    area: &'static str,
    /// Files of the area that the wall does not bind, each for a reason given where it is listed.
    except: &'static [&'static str],
    forbidden: &'static [&'static str],
}

const WALLS: &[Wall] = &[
    Wall {
        area: "eventstore/src",
        except: &[],
        forbidden: &["aggregates", "projections", "orchestrator"],
    },
    // Pure deciders: time, ids and everything else from outside arrive inside the command.
    Wall {
        area: "aggregates/src",
        except: &[],
        forbidden: &[
            "eventstore",
            "projections",
            "orchestrator",
            "tokio",
            "rusqlite",
            "std::env",
            "std::fs",
            "std::io",
            "std::net",
            "std::process",
            "std::thread",
            "Instant::now",
            "SystemTime::now",
            "Utc::now",
            "Local::now",
            "now_v7",
            "new_v4",
            "fastrand",
        ],
    },
    Wall {
        area: "projections/src",
        except: &[],
        forbidden: &["orchestrator", "axum", "hyper", "reqwest", "TcpListener"],
    },
    // The engine runs sagas it has never heard of.
    Wall {
        area: "orchestrator/src/saga",
        except: &[],
        forbidden: &[
            "fulfilment",
            "providers",
            "http",
            "cli",
            "axum",
            "hyper",
            "reqwest",
            "tokio_postgres",
            "rusqlite",
            "Book",
            "Order",
            "Payment",
            "Delivery",
            "Kakao",
            "Customer",
            "order_id",
            "book_id",
            "customer_id",
        ],
    },
    // Our saga knows what to ask of a provider, not how the question travels or where the answer is kept.
    Wall {
        area: "orchestrator/src/fulfilment",
        except: &[],
        forbidden: &[
            "providers::simulator",
            "axum",
            "hyper",
            "reqwest",
            "std::net",
            "tokio::net",
            "tokio_postgres",
            "rusqlite",
            "deadpool_postgres",
            "crate::http",
            "crate::cli",
        ],
    },
    // An adapter is chosen in one place. The demo only reads the ledger that it leaves behind; serving the simulator
    // is a command of its own.
    Wall {
        area: "orchestrator/src",
        except: &[
            "orchestrator/src/providers",
            "orchestrator/src/app",
            "orchestrator/src/cli/demo/verify.rs",
            "orchestrator/src/cli/simulate.rs",
            "orchestrator/src/cli/args.rs",
        ],
        forbidden: &["providers::simulator"],
    },
    // So are those of the real providers. The description of the API shows the forms of the label API to those who build it.
    Wall {
        area: "orchestrator/src",
        except: &[
            "orchestrator/src/providers",
            "orchestrator/src/app",
            "orchestrator/src/http/docs.rs",
        ],
        forbidden: &[
            "providers::toss",
            "providers::label",
            "providers::tracker",
            "providers::carrier",
            "providers::solapi",
        ],
    },
    Wall {
        area: "orchestrator/src/providers",
        except: &[],
        forbidden: &[
            "crate::http",
            "crate::cli",
            "crate::fulfilment",
            "eventstore",
        ],
    },
    // The broker carries what it is given, and nobody else speaks to it.
    Wall {
        area: "orchestrator/src/bus",
        except: &[],
        forbidden: &[
            "axum",
            "hyper",
            "reqwest",
            "tokio_postgres",
            "rusqlite",
            "crate::http",
            "crate::cli",
            "crate::fulfilment",
        ],
    },
    Wall {
        area: "orchestrator/src",
        except: &["orchestrator/src/bus"],
        forbidden: &["async_nats"],
    },
    // The outside checker and the town that it judges know the product as the world does: by its documents.
    Wall {
        area: "orchestrator/tests/it/checker",
        except: &[],
        forbidden: &["aggregates", "eventstore", "projections", "orchestrator"],
    },
    Wall {
        area: "orchestrator/tests/it/town",
        except: &[],
        forbidden: &["aggregates", "eventstore", "projections", "orchestrator"],
    },
    Wall {
        area: "orchestrator/src/cli",
        // It says how loud the client of the database may be.
        except: &["orchestrator/src/cli/mod.rs"],
        forbidden: &["tokio_postgres", "rusqlite", "deadpool_postgres"],
    },
    Wall {
        area: "orchestrator/src/http",
        except: &[],
        forbidden: &[
            "tokio_postgres",
            "rusqlite",
            "deadpool_postgres",
            "crate::cli",
        ],
    },
];

/// What the files of a place may name although their layer may not.
const WINDOWS: &[(&str, &str)] = &[
    // The auditor calls nobody: it compares the log with the simulator's ledger, whose lines it has to know.
    (
        "orchestrator/src/fulfilment/audit",
        "crate::providers::simulator::ledger::",
    ),
];

/// The line without what its file may name.
fn behind_windows(file: &str, line: &str) -> String {
    let open = WINDOWS.iter().filter(|(place, _)| file.starts_with(place));
    open.fold(line.to_owned(), |line, (_, seen)| line.replace(seen, ""))
}

/// What each crate may name in its manifest, of the crates of this workspace.
const MANIFESTS: &[(&str, &[&str])] = &[
    ("eventstore", &[]),
    ("aggregates", &[]),
    ("projections", &["aggregates", "eventstore"]),
    ("orchestrator", &["aggregates", "eventstore", "projections"]),
];

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether `line` holds `path` as whole words.
fn mentions(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].bytes().next_back();
        let after = line[at + path.len()..].bytes().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

fn bound_files(wall: &Wall) -> Vec<File> {
    let mut bound = files(wall.area, &["rs"]);
    bound.retain(|file| {
        !wall
            .except
            .iter()
            .any(|except| file.path.starts_with(except))
    });
    bound
}

#[test]
fn no_file_imports_what_its_layer_may_not_know() {
    let mut breaches = Vec::new();
    for wall in WALLS {
        for file in bound_files(wall) {
            for (number, line) in file.code() {
                let line = behind_windows(&file.path, line);
                for forbidden in wall
                    .forbidden
                    .iter()
                    .filter(|forbidden| mentions(&line, forbidden))
                {
                    breaches.push(format!(
                        "{}:{number}: {forbidden} is behind a wall",
                        file.path
                    ));
                }
            }
        }
    }
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

#[test]
fn the_saga_engine_imports_of_the_aggregates_only_the_saga_log() {
    for file in files("orchestrator/src/saga", &["rs"]) {
        for (number, line) in file.code() {
            for (at, prefix) in line.match_indices("aggregates::") {
                let rest = &line[at + prefix.len()..];
                assert!(
                    rest.starts_with("saga"),
                    "{}:{number}: imports aggregates::{rest}",
                    file.path
                );
            }
        }
    }
}

/// Whether this line of a manifest names that crate as a dependency: `NAME.workspace = ...`, `NAME = ...`, or a table of its own.
fn depends_on(line: &str, name: &str) -> bool {
    let table = line.trim().trim_matches(['[', ']']);
    let entry = line.split(['.', '=']).next().unwrap_or_default();
    entry.trim().trim_matches('"') == name && line.contains('=')
        || line.trim_start().starts_with('[') && table.ends_with(&format!("dependencies.{name}"))
}

#[test]
fn a_crate_depends_only_on_the_layers_below_it() {
    for (name, allowed) in MANIFESTS {
        let manifest = text(&format!("{name}/Cargo.toml"));
        // For its own tests a crate may name itself.
        for (other, _) in MANIFESTS.iter().filter(|(other, _)| other != name) {
            let named = manifest.lines().any(|line| depends_on(line, other));
            assert_eq!(named, allowed.contains(other), "{name} and {other}");
        }
    }
}

/// The words that come before a table's name in SQL.
const BEFORE_A_TABLE: &[&str] = &[
    "from", "into", "update", "join", "table", "truncate", "only",
];

fn reads_the_log_table(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
        .collect();
    words
        .windows(2)
        .any(|pair| BEFORE_A_TABLE.contains(&pair[0]) && pair[1] == "events")
        && [
            "select", "insert", "delete", "copy", "update ", "truncate", "alter", "create",
        ]
        .iter()
        .any(|verb| lower.contains(verb))
}

#[test]
fn nobody_but_the_event_store_reads_the_events_table() {
    let mut breaches = Vec::new();
    for area in ["aggregates/src", "projections/src", "orchestrator/src"] {
        for file in files(area, &["rs", "sql"]) {
            // The replay baseline is by definition a raw COPY of that very table.
            if file.path == "orchestrator/src/bench/replay.rs" {
                continue;
            }
            for (number, line) in file.code().filter(|(_, line)| reads_the_log_table(line)) {
                breaches.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    assert!(breaches.is_empty(), "\n{}", breaches.join("\n"));
}

#[test]
fn the_scanner_sees_whole_words_only() {
    assert!(mentions("use crate::http::Problem;", "crate::http"));
    assert!(!mentions("let ordering = Ordering::Less;", "Order"));
    assert!(reads_the_log_table(
        r#"client.query("SELECT * FROM events WHERE", &[])"#
    ));
    assert!(!reads_the_log_table("the events from the log"));
    for line in [
        "eventstore.workspace = true",
        r#"eventstore = { workspace = true, features = ["testing"] }"#,
        r#"eventstore = { path = "../eventstore" }"#,
        "[dev-dependencies.eventstore]",
    ] {
        assert!(depends_on(line, "eventstore"), "{line}");
    }
    for line in [
        r#"name = "eventstore""#,
        r#"description = "On the eventstore = fast""#,
        "eventstore-tools = \"1\"",
        "# eventstore",
    ] {
        assert!(!depends_on(line, "eventstore"), "{line}");
    }
    let audit = "orchestrator/src/fulfilment/audit/rules.rs";
    let seen = behind_windows(audit, "use crate::providers::simulator::ledger::Op;");
    assert!(!mentions(&seen, "providers::simulator"), "{seen}");
    let hidden = behind_windows(audit, "use crate::providers::simulator::world::World;");
    assert!(mentions(&hidden, "providers::simulator"));
}
