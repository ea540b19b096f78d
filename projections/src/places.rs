//! Where each view is kept.

use eventstore::Location;
use secrecy::ExposeSecret;

use crate::projections::View;

/// Where each view is kept: with the log, or at a place of its own. The saga view is always with the
/// log, because the engine reads it.
#[derive(Clone, Debug)]
pub struct Places {
    /// Where the log is.
    pub log: Location,
    /// Another place for the customer view.
    pub customer: Option<Location>,
    /// Another place for the message view.
    pub message: Option<Location>,
}

/// One place and the views at it, which share its tables and its connections.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// Where.
    pub location: &'a Location,
    /// Whose.
    pub views: Vec<View>,
}

impl From<&Location> for Places {
    /// All views with the log.
    fn from(log: &Location) -> Self {
        Self {
            log: log.clone(),
            customer: None,
            message: None,
        }
    }
}

impl Places {
    /// Where a view is kept.
    pub fn of(&self, view: View) -> &Location {
        let own = match view {
            View::Customer => self.customer.as_ref(),
            View::Message => self.message.as_ref(),
            View::Saga => None,
        };
        own.unwrap_or(&self.log)
    }

    /// Every place once, that of the log first.
    pub fn each(&self) -> Vec<Place<'_>> {
        let mut places = vec![Place {
            location: &self.log,
            views: vec![View::Saga],
        }];
        for view in [View::Customer, View::Message] {
            let location = self.of(view);
            match places
                .iter_mut()
                .find(|place| is_same(place.location, location))
            {
                Some(place) => place.views.push(view),
                None => places.push(Place {
                    location,
                    views: vec![view],
                }),
            }
        }
        places
    }
}

impl Place<'_> {
    /// What is kept there, for people.
    pub fn name(&self) -> &'static str {
        match *self.views {
            [View::Customer] => "customer view",
            [View::Message] => "message view",
            [View::Customer, ..] => "customer and message view",
            _ => "views",
        }
    }
}

/// Whether both lead to the same tables, as far as their text says.
pub(crate) fn is_same(one: &Location, other: &Location) -> bool {
    match (one, other) {
        (Location::Postgres { url: one }, Location::Postgres { url: other }) => {
            one.expose_secret() == other.expose_secret()
        }
        (Location::Sqlite { dir: one }, Location::Sqlite { dir: other }) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_at_one_place_share_it_and_the_saga_view_stays_with_the_log() {
        let log = Location::postgres("postgres://host/shop");
        let other = || Some(Location::sqlite("/views"));
        let names = |customer, message| {
            let places = Places {
                log: log.clone(),
                customer,
                message,
            };
            places.each().iter().map(Place::name).collect::<Vec<_>>()
        };
        assert_eq!(names(None, Some(log.clone())), ["views"]);
        assert_eq!(names(None, other()), ["views", "message view"]);
        assert_eq!(
            names(other(), other()),
            ["views", "customer and message view"]
        );
        let third = Some(Location::postgres("postgres://host/customers"));
        assert_eq!(
            names(third, other()),
            ["views", "customer view", "message view"]
        );
    }
}
