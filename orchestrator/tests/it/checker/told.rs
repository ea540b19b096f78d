//! What customers were told: it happened, and nothing else was told.

use std::collections::BTreeSet;

use super::dossier::Dossier;
use super::evidence::{Asked, text};
use super::{Findings, Rule};

pub(super) fn check(dossier: &Dossier<'_>, found: &mut Findings) {
    let orders = dossier.of_type("Ordered").count();
    if orders > 1 {
        found.add(
            Rule::Lost,
            dossier.order,
            format!("was placed {orders} times"),
        );
    }
    if !dossier.replies.is_empty() && orders == 0 {
        found.add(
            Rule::Lost,
            dossier.order,
            "was acknowledged and is not in the log",
        );
        return;
    }
    placed(dossier, found);
    canceled(dossier, found);
}

/// The first answer is a function of the log, and every repeat gets it again.
fn placed(dossier: &Dossier<'_>, found: &mut Findings) {
    let order = dossier.order;
    let told: BTreeSet<u16> = told(dossier, Asked::Place)
        .filter(|it| matches!(it, 201 | 202 | 402))
        .collect();
    if told.len() > 1 {
        found.add(
            Rule::Contradiction,
            order,
            format!("its customer heard {told:?}"),
        );
    }
    let first = dossier
        .events
        .iter()
        .find_map(|event| match text(event, "type") {
            "OrderPaid" => Some(201),
            "OrderPending" => Some(202),
            "OrderRejected" => Some(402),
            _ => None,
        });
    for told in told {
        if first != Some(told) {
            found.add(
                Rule::Contradiction,
                order,
                format!("was answered {told}, the log says {first:?}"),
            );
        }
    }
}

fn canceled(dossier: &Dossier<'_>, found: &mut Findings) {
    let order = dossier.order;
    let answers: Vec<u16> = told(dossier, Asked::Cancel)
        .filter(|it| matches!(it, 200 | 409))
        .collect();
    let is_canceled = dossier.has("OrderCanceled") && !dossier.has("OrderCancelTakenBack");
    if answers.windows(2).any(|pair| pair == [200, 409]) {
        found.add(
            Rule::Contradiction,
            order,
            "was canceled and then could not be",
        );
    }
    match answers.last() {
        Some(200) if !is_canceled => {
            found.add(
                Rule::Contradiction,
                order,
                "was said to be canceled and is not",
            );
        }
        Some(200) if dossier.recorded("Paid") != dossier.recorded("PayCanceled") => {
            found.add(
                Rule::Contradiction,
                order,
                "was said to be canceled and its money is kept",
            );
        }
        Some(409) if is_canceled => {
            found.add(
                Rule::Contradiction,
                order,
                "was said to be past canceling and is canceled",
            );
        }
        _ => {}
    }
}

fn told<'a>(dossier: &'a Dossier<'_>, asked: Asked) -> impl Iterator<Item = u16> + 'a {
    let replies = dossier
        .replies
        .iter()
        .filter(move |reply| reply.asked == asked);
    replies.map(|reply| reply.status)
}
