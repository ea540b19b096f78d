//! A TCP proxy that stands between a process and a server, and lets their connections suffer. It knows no protocol.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const BUFFER: usize = 64 * 1024;

/// What happens to every connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Everything comes through.
    Fair,
    /// Everything comes through this much later.
    Slow(Duration),
    /// What is sent is on its way, and arrives when the weather is better.
    Held,
    /// Nothing comes through in either direction, and nobody is told: a cut cable. What is sent meanwhile is lost, and the connection
    /// with it as soon as the cable is whole again.
    Cut,
    /// What the process sends arrives; what it is answered does not. Ends like a cut.
    HalfOpen,
    /// Connections are refused and torn down.
    Down,
}

/// The proxy; its connections end with it.
pub(crate) struct Proxy {
    address: SocketAddr,
    weather: Arc<watch::Sender<Weather>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Starts one in front of a server.
    pub(crate) async fn start(server: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let weather = Arc::new(watch::Sender::new(Weather::Fair));
        let shared = Arc::clone(&weather);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let weather = shared.subscribe();
                if *weather.borrow() != Weather::Down {
                    tokio::spawn(connection(client, server, weather));
                }
            }
        });
        Proxy {
            address,
            weather,
            accepting,
        }
    }

    /// Where to connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, for open connections too.
    pub(crate) fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Tears down every connection once; new ones are let in.
    pub(crate) fn reset(&self) {
        self.set(Weather::Down);
        self.set(Weather::Fair);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn connection(client: TcpStream, server: SocketAddr, weather: watch::Receiver<Weather>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let mut watching = weather.clone();
    tokio::select! {
        () = pass(client_in, server_out, weather.clone(), Weather::Cut) => {}
        () = pass(server_in, client_out, weather, Weather::HalfOpen) => {}
        // `wait_for` also sees a change that has been taken back at once.
        _ = torn_down(&mut watching) => {}
    }
}

/// Resolves when connections are torn down, also if only for a moment.
async fn torn_down(weather: &mut watch::Receiver<Weather>) {
    let mut before = *weather.borrow_and_update();
    while weather.changed().await.is_ok() {
        let now = *weather.borrow_and_update();
        let lossy = |weather| matches!(weather, Weather::Cut | Weather::HalfOpen);
        // Bytes were lost, so what follows would make no sense; two changes at once are a reset.
        if now == Weather::Down || now == before || (lossy(before) && !lossy(now)) {
            return;
        }
        before = now;
    }
}

/// Passes bytes on until either end closes. `deaf` is the mildest weather in which this direction swallows them.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
    deaf: Weather,
) {
    let mut buffer = vec![0; BUFFER];
    while let Ok(length) = from.read(&mut buffer).await {
        if length == 0 {
            return;
        }
        let held = weather.wait_for(|weather| *weather != Weather::Held);
        let now = held.await.map_or(Weather::Down, |weather| *weather);
        if now == Weather::Cut || now == deaf {
            continue;
        }
        if let Weather::Slow(delay) = now {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
