//! Places for those who follow a customer's orders: so many in all, and few for any one customer, so that no customer takes
//! them from the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::auth::{Principal, Role};
use crate::http::catalogue;
use crate::http::problem::Problem;

/// Places for one customer's orders, whoever follows them in its name: a page on the telephone, one on the desk, and as many that
/// are about to be noticed as closed.
const PER_CUSTOMER: usize = 4;

/// Seconds after which somebody may have gone.
const TRY_AGAIN_AFTER: u64 = 10;

/// The places of one process.
#[derive(Clone, Debug)]
pub struct Seats {
    free: Arc<Semaphore>,
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

impl Seats {
    /// So many in all.
    #[must_use]
    pub fn new(places: usize) -> Seats {
        Seats {
            free: Arc::new(Semaphore::new(places)),
            taken: Arc::default(),
        }
    }

    /// A place for somebody who follows this customer. Operators look after many, and count only among all.
    pub(super) fn take(&self, reader: &Principal, customer: &str) -> Result<Seat, Problem> {
        let of = match reader.role {
            Role::Customer(_) | Role::Service => Some(self.take_of(customer)?),
            Role::Operator => None,
        };
        let free = Arc::clone(&self.free).try_acquire_owned().map_err(|_| {
            let detail = "Every place for a subscriber is taken.";
            Problem::new(&catalogue::TOO_MANY_SUBSCRIBERS, detail).retry_after(TRY_AGAIN_AFTER)
        })?;
        Ok(Seat {
            _free: free,
            _of: of,
        })
    }

    fn take_of(&self, customer: &str) -> Result<OfCustomer, Problem> {
        let mut taken = lock(&self.taken);
        let count = taken.entry(customer.to_owned()).or_default();
        if *count >= PER_CUSTOMER {
            let detail = format!("{PER_CUSTOMER} streams of this customer are open.");
            let problem = Problem::new(&catalogue::FOLLOWED_TOO_OFTEN, detail);
            return Err(problem.retry_after(TRY_AGAIN_AFTER));
        }
        *count += 1;
        Ok(OfCustomer {
            taken: Arc::clone(&self.taken),
            customer: customer.to_owned(),
        })
    }
}

/// A place, given back when dropped.
pub(super) struct Seat {
    _free: OwnedSemaphorePermit,
    _of: Option<OfCustomer>,
}

/// One of a customer's places, given back when dropped.
struct OfCustomer {
    taken: Arc<Mutex<HashMap<String, usize>>>,
    customer: String,
}

impl Drop for OfCustomer {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        if let Some(count) = taken.get_mut(&self.customer) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.customer);
            }
        }
    }
}

fn lock(taken: &Mutex<HashMap<String, usize>>) -> MutexGuard<'_, HashMap<String, usize>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(role: Role) -> Principal {
        Principal {
            name: Arc::from("somebody"),
            role,
        }
    }

    #[test]
    fn a_customer_gets_its_few_places_and_they_are_given_back_whatever_became_of_them() {
        let seats = Seats::new(PER_CUSTOMER + 1);
        let (alice, bob) = (
            Role::Customer(Arc::from("a")),
            Role::Customer(Arc::from("b")),
        );
        let (alice, bob, shop) = (reader(alice), reader(bob), reader(Role::Service));
        let mut held: Vec<_> = (0..PER_CUSTOMER)
            .map(|_| seats.take(&alice, "a").expect("a place"))
            .collect();
        assert!(seats.take(&alice, "a").is_err());
        assert!(seats.take(&shop, "a").is_err(), "in its name");
        let other = seats.take(&bob, "b").expect("a place");
        assert!(seats.take(&bob, "b").is_err(), "all are taken");
        drop(other);
        held.pop();
        held.push(seats.take(&alice, "a").expect("a place"));
        // Operators are bound by the number in all only.
        let _operator = seats.take(&reader(Role::Operator), "a").expect("a place");
        drop(held);
        assert!(lock(&seats.taken).is_empty(), "nobody is remembered");
    }
}
