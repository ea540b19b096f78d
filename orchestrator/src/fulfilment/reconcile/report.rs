//! What a comparison came to.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::finding::{Finding, Kind, Safety};

/// Findings listed in one report. Where there are more something is wrong as a whole, and the first tell what.
pub const FINDINGS_MAX: usize = 1_000;

/// A finding and what was done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The finding.
    #[serde(flatten)]
    pub finding: Finding,
    /// What was done.
    pub action: Action,
    /// The saga that sees to it, where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saga_id: Option<Uuid>,
}

impl Entry {
    pub(super) fn postponed(finding: Finding) -> Self {
        let (action, saga_id) = (Action::Postponed, None);
        Self {
            finding,
            action,
            saga_id,
        }
    }
}

/// What was done about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "taken", content = "why", rename_all = "kebab-case")]
pub enum Action {
    /// Nothing: nobody asked for it.
    None,
    /// It is set right, or a saga is setting it right.
    Fixed,
    /// It was being set right already.
    UnderWay,
    /// It is in a person's hands.
    Parked,
    /// Nothing yet: too much was done in this comparison already. The next one goes on here.
    Postponed,
    /// It could not be done. The next comparison tries again, for as long as it looks back.
    Failed(String),
}

/// What a comparison came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// From when on the books were compared.
    pub since: DateTime<Utc>,
    /// Until when. Where the providers have more records than one comparison holds, the next one goes on from there.
    pub until: DateTime<Utc>,
    /// Orders compared.
    pub orders: usize,
    /// Records of the providers.
    pub records: usize,
    /// Whose books could not be read, and why; about them nothing is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
    /// What differs.
    pub findings: Vec<Entry>,
    /// What differs beyond that and is not listed.
    pub more: usize,
    /// What is not settled by this comparison: it failed, was postponed, or the provider did not say whether it is so.
    pub left: usize,
    /// What was done, for the limit on that.
    #[serde(skip)]
    pub(super) done: usize,
    /// The first order that something was left of for want of time.
    #[serde(skip)]
    pub(super) next: Option<String>,
}

impl Report {
    /// Of a comparison that begins.
    pub(super) fn new(started_at: DateTime<Utc>, since: DateTime<Utc>) -> Self {
        Self {
            started_at,
            finished_at: started_at,
            since,
            until: started_at,
            orders: 0,
            records: 0,
            unread: Vec::new(),
            findings: Vec::new(),
            more: 0,
            left: 0,
            done: 0,
            next: None,
        }
    }

    /// Takes in what was done about a finding.
    pub(super) fn take(&mut self, entry: Entry) {
        match &entry.action {
            Action::Fixed | Action::Parked => self.done += 1,
            Action::Failed(_) => (self.done, self.left) = (self.done + 1, self.left + 1),
            Action::Postponed => {
                self.left += 1;
                let order = || entry.finding.order_id.clone();
                self.next.get_or_insert_with(order);
            }
            Action::None | Action::UnderWay => {}
        }
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(entry);
        } else {
            self.more += 1;
        }
    }

    /// Up to when everything is seen to, where an earlier comparison had seen to everything until `before`. Books that could not
    /// be read are waited for, however long; one difference that nothing can be done about must not make every comparison
    /// reach back further than the one before, so it is let go after `patience`.
    pub(super) fn seen_until(
        &self,
        before: Option<DateTime<Utc>>,
        patience: TimeDelta,
    ) -> Option<DateTime<Utc>> {
        if !self.unread.is_empty() {
            return before;
        }
        if self.left == 0 {
            return Some(self.until);
        }
        before.map(|before| before.max(self.until - patience))
    }

    /// Whether there is more to do than one comparison may.
    pub(super) fn goes_on(&self) -> bool {
        self.next.is_some() || self.until < self.started_at
    }

    /// Findings of a kind that only those may set right.
    #[must_use]
    pub fn count(&self, kind: Kind, fix: Safety) -> usize {
        let of = |entry: &&Entry| entry.finding.kind == kind && entry.finding.fix == fix;
        self.findings.iter().filter(of).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hour)
    }

    #[test]
    fn a_comparison_with_something_left_is_not_gone_past_until_patience_ends() {
        let patience = TimeDelta::hours(24);
        let whole = Report::new(at(100), at(99));
        assert_eq!(whole.seen_until(Some(at(99)), patience), Some(at(100)));
        let left = Report { left: 1, ..whole };
        assert_eq!(left.seen_until(Some(at(99)), patience), Some(at(99)));
        assert_eq!(left.seen_until(Some(at(10)), patience), Some(at(76)));
        assert_eq!(left.seen_until(None, patience), None);
        let unread = Report {
            unread: vec!["payment: away".to_owned()],
            ..left
        };
        assert_eq!(unread.seen_until(Some(at(10)), patience), Some(at(10)));
    }
}
