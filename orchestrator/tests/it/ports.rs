//! Ports for servers that are told where to listen.

use std::collections::HashSet;
use std::net::TcpListener;
use std::ops::Range;
use std::sync::Mutex;

/// Outside the range from which the system gives ports to clients.
const PORTS: Range<u16> = 20_000..30_000;

/// What was given out. A server that is killed comes back to its port, so nobody else gets it meanwhile.
static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// One that is free, and that no other test gets.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(PORTS);
        let mut given = GIVEN.lock().expect("nobody panicked");
        let fresh = given.get_or_insert_default().insert(port);
        if fresh && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
