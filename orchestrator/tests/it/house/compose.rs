//! docker-compose.yml and the Dockerfile: well formed, and closed to the outside.

use std::fs;
use std::path::Path;
use std::process::Command;

use boon::{Compiler, Draft, Schemas};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::source::text;

/// The schema of compose-spec.org (Apache-2.0), as Docker itself applies it.
const SCHEMA: &str = include_str!("compose-spec.json");

fn compose() -> Value {
    serde_saphyr::from_str(&text("docker-compose.yml")).expect("docker-compose.yml is YAML")
}

fn schema_errors(document: &Value) -> Option<String> {
    let mut compiler = Compiler::new();
    compiler.set_default_draft(Draft::V7);
    compiler
        .add_resource(
            "compose-spec.json",
            serde_json::from_str(SCHEMA).expect("the schema is JSON"),
        )
        .expect("the schema is a resource");
    let mut schemas = Schemas::new();
    let schema = compiler
        .compile("compose-spec.json", &mut schemas)
        .expect("the schema compiles");
    schemas
        .validate(document, schema)
        .err()
        .map(|error| format!("{error:#}"))
}

#[test]
fn the_compose_file_fits_the_compose_schema() {
    assert_eq!(schema_errors(&compose()), None);
}

#[test]
fn the_compose_schema_refuses_a_misspelt_key() {
    let mut wrong = compose();
    wrong["services"]["bookmarket"]["prots"] = Value::from("8088:8088");
    assert!(schema_errors(&wrong).is_some());
}

#[test]
fn every_published_port_is_bound_to_loopback() {
    let compose = compose();
    let services = compose["services"].as_object().expect("services");
    let ports: Vec<&str> = services
        .values()
        .filter_map(|service| service["ports"].as_array())
        .flatten()
        .map(|port| port.as_str().expect("a port in its short form"))
        .collect();
    assert!(!ports.is_empty());
    for port in ports {
        assert!(
            port.starts_with("127.0.0.1:"),
            "{port} is reachable from outside"
        );
    }
}

#[test]
fn every_volume_that_a_service_mounts_is_a_named_one() {
    let compose = compose();
    let named = compose["volumes"].as_object().expect("volumes");
    for (name, service) in compose["services"].as_object().expect("services") {
        for mount in service["volumes"].as_array().into_iter().flatten() {
            let mount = mount.as_str().expect("a mount in its short form");
            let volume = mount.split(':').next().unwrap_or(mount);
            assert!(named.contains_key(volume), "{name} mounts {volume}");
        }
    }
}

#[test]
fn a_service_starts_when_what_it_needs_is_healthy() {
    let compose = compose();
    let needs = &compose["services"]["bookmarket"]["depends_on"];
    assert_eq!(needs["postgres"]["condition"], "service_healthy");
    assert_eq!(
        needs["secrets"]["condition"],
        "service_completed_successfully"
    );
    assert!(compose["services"]["postgres"]["healthcheck"]["test"].is_array());
}

#[test]
fn the_profile_of_many_has_every_role_twice_where_customers_would_notice_and_one_door() {
    let compose = compose();
    let services = compose["services"].as_object().expect("services");
    let mut found = Vec::new();
    for service in services.values() {
        if service["command"][0] == "serve" && service["command"][1] == "--roles" {
            assert_eq!(service["profiles"][0], "many");
            let role = service["command"][2].as_str().expect("a role");
            let replicas = service["deploy"]["replicas"].as_u64().unwrap_or(1);
            found.push((role, replicas));
            // Nobody is told to go before the proxy has noticed, or cut before it is done.
            let settings = &service["environment"];
            assert_eq!(settings["BOOKMARKET_DRAIN_DELAY"], "5s");
            assert_eq!(settings["BOOKMARKET_SHUTDOWN_GRACE"], "30s");
            assert_eq!(service["stop_grace_period"], "40s");
        }
    }
    found.sort_unstable();
    let wanted = [("api", 2), ("projector", 1), ("relay", 1), ("worker", 2)];
    assert_eq!(found, wanted);
    // Customers come in by the proxy, which sends them to those who take orders, and by no other way.
    let open = services.iter().filter(|(_, service)| {
        let profile = &service["profiles"][0];
        profile == "many" && !service["ports"].is_null()
    });
    let open: Vec<&str> = open.map(|(name, _)| name.as_str()).collect();
    assert_eq!(open, ["proxy"]);
    let door = &compose["services"]["proxy"]["configs"][0];
    assert_eq!(door["target"], "/usr/local/etc/haproxy/haproxy.cfg");
    let source = door["source"].as_str().expect("a name");
    let rules = &compose["configs"][source]["file"];
    let rules = text(rules.as_str().expect("a file"));
    assert!(rules.contains("server-template api 2 api:8088"));
    assert!(rules.contains("GET /readyz"));
}

/// What follows a word of a command.
fn after<'a>(command: &'a Value, word: &str) -> Option<&'a str> {
    let words = command.as_array().expect("a command in its long form");
    let mut words = words.iter().filter_map(Value::as_str);
    words.find(|it| *it == word)?;
    words.next()
}

#[test]
fn the_broker_stores_what_it_is_given_in_files_that_outlive_its_container() {
    let compose = compose();
    let nats = &compose["services"]["nats"];
    assert_eq!(nats["image"], "nats:2.12-alpine");
    let words = nats["command"].as_array().expect("a command");
    assert!(words.iter().any(|word| word == "--jetstream"));
    let folder = after(&nats["command"], "--store_dir").expect("a folder");
    let mounts = nats["volumes"].as_array().expect("mounts");
    let mounts = mounts.iter().filter_map(Value::as_str);
    let mut volumes = mounts.filter_map(|mount| {
        let (volume, place) = mount.split_once(':')?;
        (place == folder).then_some(volume)
    });
    let volume = volumes.next().expect("a volume that can be written to");
    let named = compose["volumes"].as_object().expect("volumes");
    assert!(named.contains_key(volume), "{volume}");
    // Whoever is to have a broker has this one.
    let services = compose["services"].as_object().expect("services");
    let urls = services
        .values()
        .map(|service| &service["environment"]["NATS_URL"]);
    let urls: Vec<&Value> = urls.filter(|url| !url.is_null()).collect();
    assert!(!urls.is_empty());
    assert!(urls.iter().all(|url| **url == "nats://nats:4222"));
}

/// Runs what the service `secrets` runs, with a directory here in the place of its volume.
fn make_secrets(volume: &Path) {
    let compose = compose();
    let service = &compose["services"]["secrets"];
    let script = service["command"][0].as_str().expect("a script");
    // Compose reads `$$` as a dollar sign of the script's own.
    let script = script
        .replace("$$", "$")
        .replace("/secrets", &volume.to_string_lossy());
    let status = Command::new(service["entrypoint"][0].as_str().expect("a shell"))
        .args([
            service["entrypoint"][1].as_str().expect("its flags"),
            &script,
        ])
        .status()
        .expect("the shell starts");
    assert!(status.success());
}

#[test]
fn the_first_start_makes_the_secrets_and_a_later_one_keeps_them() {
    let volume = tempfile::tempdir().expect("a directory");
    let read = |name: &str| fs::read_to_string(volume.path().join(name)).expect(name);
    make_secrets(volume.path());
    let first = [
        "postgres-password",
        "operator-token",
        "api-tokens",
        "database-url",
    ]
    .map(read);
    make_secrets(volume.path());
    let second = [
        "postgres-password",
        "operator-token",
        "api-tokens",
        "database-url",
    ]
    .map(read);
    assert_eq!(first, second);

    let [password, token, lines, url] = first;
    assert_eq!(token.len(), 64);
    assert_ne!(token, password);
    assert!(url.contains(&password));
    let digest: String = Sha256::digest(&token)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        lines.lines().next(),
        Some(format!("operator compose-operator {digest}").as_str())
    );
}

#[test]
fn the_image_runs_as_an_unprivileged_user_and_knows_its_health() {
    let dockerfile = text("Dockerfile");
    let last_stage = dockerfile.rsplit("\nFROM ").next().expect("a last stage");
    let user = last_stage
        .lines()
        .find_map(|line| line.strip_prefix("USER "))
        .expect("a USER line");
    assert_ne!(user.trim(), "root");
    assert!(last_stage.contains("\nHEALTHCHECK "));
}
