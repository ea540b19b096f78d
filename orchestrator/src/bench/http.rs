//! The smallest HTTP/1.1 client that keeps a connection open: a load generator must not be what is measured.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// An answer larger than this is not one of ours.
const BODY_MAX: usize = 1 << 20;

/// One connection, one request at a time.
#[derive(Debug)]
pub(super) struct HttpClient {
    stream: BufReader<TcpStream>,
    host: SocketAddr,
    line: String,
}

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// Whether it says when to come again.
    pub(super) retry_after: bool,
    pub(super) body: Vec<u8>,
}

impl HttpClient {
    pub(super) async fn connect(host: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            host,
            line: String::new(),
        })
    }

    pub(super) async fn get(&mut self, path: &str) -> io::Result<Reply> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.send(&request).await
    }

    /// Posts JSON under an idempotency key.
    pub(super) async fn post(&mut self, path: &str, key: &str, body: &str) -> io::Result<Reply> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nIdempotency-Key: {key}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        self.send(&request).await
    }

    async fn send(&mut self, request: &str) -> io::Result<Reply> {
        self.stream.get_mut().write_all(request.as_bytes()).await?;
        let status = status_of(self.next_line().await?)?;
        let mut length = 0;
        let mut retry_after = false;
        loop {
            let line = self.next_line().await?;
            if line.is_empty() {
                break;
            }
            if let Some(value) = header(line, "content-length") {
                length = value.parse().map_err(io::Error::other)?;
            }
            retry_after |= header(line, "retry-after").is_some();
        }
        if length > BODY_MAX {
            return Err(io::Error::other(format!("an answer of {length} bytes")));
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        Ok(Reply {
            status,
            retry_after,
            body,
        })
    }

    async fn next_line(&mut self) -> io::Result<&str> {
        self.line.clear();
        if self.stream.read_line(&mut self.line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.line.trim_end())
    }
}

fn status_of(line: &str) -> io::Result<u16> {
    line.split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no status line: {line}")))
}

fn header<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (found, value) = line.split_once(':')?;
    found.eq_ignore_ascii_case(name).then(|| value.trim())
}
