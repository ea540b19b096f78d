//! Which rule strikes which call, and which are refused.

use super::*;

fn rules(rules: Vec<Rule>) -> Rules {
    let mut set = Rules::default();
    set.set(7, rules);
    set
}

fn at_rate(rate: f64) -> Rule {
    Rule {
        rate,
        ..Rule::always(On::Charge, Kind::CommitThenDrop)
    }
}

fn drawn(rules: &mut Rules, orders: usize) -> Vec<bool> {
    let draw = |order: usize| {
        let fate = rules.draw(Port::Payment, On::Charge, &format!("order-{order}"));
        fate.is(Kind::CommitThenDrop)
    };
    (0..orders).map(draw).collect()
}

#[test]
fn the_same_seed_and_calls_give_the_same_faults_in_any_order() {
    let (mut once, mut again) = (rules(vec![at_rate(0.5)]), rules(vec![at_rate(0.5)]));
    let first = drawn(&mut once, 100);
    let mut second: Vec<_> = (0..100)
        .rev()
        .map(|order| {
            let fate = again.draw(Port::Payment, On::Charge, &format!("order-{order}"));
            fate.is(Kind::CommitThenDrop)
        })
        .collect();
    second.reverse();
    assert_eq!(first, second);
    assert_ne!(
        drawn(&mut once, 100),
        first,
        "the second calls are drawn anew"
    );
    let mut other = rules(vec![at_rate(0.5)]);
    other.seed = 8;
    assert_ne!(drawn(&mut other, 100), first);
}

#[test]
fn the_share_of_faults_is_the_rate() {
    let hits = drawn(&mut rules(vec![at_rate(0.3)]), 10_000);
    let hits = hits.iter().filter(|hit| **hit).count();
    assert!((2_800..3_200).contains(&hits), "{hits} of 10,000");
    assert!(
        drawn(&mut rules(vec![at_rate(0.0)]), 100)
            .iter()
            .all(|hit| !hit)
    );
    assert!(
        drawn(&mut rules(vec![at_rate(1.0)]), 100)
            .iter()
            .all(|hit| *hit)
    );
}

#[test]
fn a_set_of_rules_tells_how_many_calls_each_has_struck_and_may_be_written_back() {
    let late = Rule {
        order_id: Some("order-3".to_owned()),
        ..Rule::always(On::Charge, Kind::DropBeforeCommit)
    };
    let mut rules = rules(vec![late, at_rate(1.0), at_rate(1.0)]);
    drawn(&mut rules, 10);
    let document = rules.document();
    let struck: Vec<_> = (0..3)
        .map(|nth| document["rules"][nth]["struck"].as_u64())
        .collect();
    // One fault a call: the first that strikes.
    assert_eq!(struck, [Some(1), Some(9), Some(0)]);
    let (seed, read) = parse(document.to_string().as_bytes()).unwrap();
    assert_eq!((seed, &read), (7, &rules.rules));
    rules.set(seed, read);
    assert_eq!(rules.document()["rules"][1]["struck"], 0);
}

#[test]
fn a_slow_provider_takes_400_ms_give_or_take_220_and_may_fail_besides() {
    let mut rules = rules(vec![slow(On::Charge), at_rate(1.0)]);
    let mut delays = Vec::new();
    for order in 0..1_000 {
        let fate = rules.draw(Port::Payment, On::Charge, &order.to_string());
        assert!(fate.is(Kind::CommitThenDrop));
        delays.push(fate.delay.as_millis());
    }
    delays.sort_unstable();
    assert!(delays[0] >= 180 && delays[999] <= 620, "{delays:?}");
    assert!(delays[0] < 200 && delays[999] > 600 && (350..450).contains(&delays[500]));
}

#[test]
fn a_rule_is_about_its_port_operation_and_order_only() {
    let mut only = at_rate(1.0);
    only.order_id = Some("a".into());
    let mut set = rules(vec![only]);
    let mut hit = |port, on, order| set.draw(port, on, order).fault.is_some();
    assert!(hit(Port::Payment, On::Charge, "a"));
    assert!(!hit(Port::Payment, On::Charge, "b"));
    assert!(!hit(Port::Payment, On::Refund, "a"));
    assert!(!hit(Port::Payment, On::Query, "a"));

    let mut any = at_rate(1.0);
    (any.op, any.port) = (None, None);
    let mut set = rules(vec![any]);
    assert!(set.draw(Port::Kakao, On::Send, "a").fault.is_some());
    assert_eq!(set.draw(Port::Payment, On::Query, "a").fault, None);
    assert_eq!(set.draw(Port::Carrier, On::Deliver, "a").fault, None);
}

#[test]
fn a_provider_that_is_down_answers_no_questions_either() {
    let mut down = Rule::always(On::Charge, Kind::Down);
    down.op = None;
    let mut set = rules(vec![down]);
    assert!(set.draw(Port::Payment, On::Query, "a").is(Kind::Down));
    assert_eq!(set.draw(Port::Kakao, On::Send, "a").fault, None);
}
