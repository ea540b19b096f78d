//! Who is calling and what they may see.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::catalogue;
use super::problem::Problem;
use crate::config::ConfigError;

/// Name of the only caller there is when no tokens are configured.
const OPEN_PRINCIPAL: &str = "open";

/// What a caller may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Orders for itself and sees only its own.
    Customer(Arc<str>),
    /// A shop's own backend: orders for anyone and sees every order.
    Service,
    /// Also sees sagas, events and projections, and may intervene.
    Operator,
}

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Name from the token file. Idempotency keys are scoped by it.
    pub name: Arc<str>,
    /// What the caller may do.
    pub role: Role,
}

impl Principal {
    /// Whether this caller may see and change what belongs to that customer.
    #[must_use]
    pub fn may_see(&self, customer: &str) -> bool {
        match &self.role {
            Role::Customer(own) => **own == *customer,
            Role::Service | Role::Operator => true,
        }
    }

    /// Whether this caller is that very customer.
    #[must_use]
    pub fn is_customer(&self, customer: &str) -> bool {
        matches!(&self.role, Role::Customer(own) if **own == *customer)
    }

    /// The only customer whose data a list may show, if there is such a limit.
    #[must_use]
    pub fn only_customer(&self) -> Option<&str> {
        match &self.role {
            Role::Customer(own) => Some(own),
            Role::Service | Role::Operator => None,
        }
    }
}

/// The callers a server knows.
#[derive(Debug)]
pub enum Callers {
    /// No token file: everyone is an operator, which is why such a server listens on loopback only.
    Open,
    /// The entries of the token file.
    Known(Vec<Entry>),
}

/// One line of the token file.
#[derive(Debug)]
pub struct Entry {
    principal: Principal,
    /// SHA-256 of the token. A fast hash is enough: tokens are 256 random bits, not passwords.
    digest: [u8; 32],
}

impl Callers {
    /// Reads a token file: `ROLE NAME SHA256` per line, `#` starts a comment.
    pub fn load(path: Option<&Path>) -> Result<Callers, ConfigError> {
        let Some(path) = path.filter(|path| !path.as_os_str().is_empty()) else {
            return Ok(Callers::Open);
        };
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            what: "the API tokens",
            path: path.to_owned(),
            source,
        })?;
        Callers::parse(&text)
            .map_err(|error| ConfigError::Unusable(format!("{}: {error}", path.display())))
    }

    fn parse(text: &str) -> Result<Callers, String> {
        let mut names = HashSet::new();
        let mut entries = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let entry =
                Entry::parse(line).map_err(|error| format!("line {}: {error}", index + 1))?;
            // Idempotency keys are scoped by name: two callers of one name would read each other's answers.
            if !names.insert(entry.principal.name.clone()) {
                return Err(format!(
                    "line {}: the name {} appears twice",
                    index + 1,
                    entry.principal.name
                ));
            }
            entries.push(entry);
        }
        if entries.is_empty() {
            return Err("there is no token in it".to_owned());
        }
        Ok(Callers::Known(entries))
    }

    /// Whether every caller is let in as an operator.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Callers::Open)
    }

    fn find(&self, headers: &HeaderMap) -> Option<Principal> {
        match self {
            Callers::Open => Some(Principal {
                name: Arc::from(OPEN_PRINCIPAL),
                role: Role::Operator,
            }),
            Callers::Known(entries) => {
                let digest: [u8; 32] = Sha256::digest(bearer(headers)?).into();
                // Looks at every entry whatever matched, so that timing tells nothing about the table.
                entries.iter().fold(None, |found, entry| {
                    if bool::from(entry.digest.ct_eq(&digest)) {
                        Some(entry.principal.clone())
                    } else {
                        found
                    }
                })
            }
        }
    }
}

impl Entry {
    fn parse(line: &str) -> Result<Entry, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [role, name, digest] = words.as_slice() else {
            return Err("expected ROLE NAME SHA256".to_owned());
        };
        let role = match role.split_once(':') {
            Some(("customer", id)) if !id.is_empty() => Role::Customer(Arc::from(id)),
            None if *role == "service" => Role::Service,
            None if *role == "operator" => Role::Operator,
            _ => {
                return Err(format!(
                    "{role} is no role; roles are operator, service and customer:ID"
                ));
            }
        };
        let digest =
            hex_32(digest).ok_or("the third word must be a SHA-256 in 64 hexadecimal digits")?;
        Ok(Entry {
            principal: Principal {
                name: Arc::from(*name),
                role,
            },
            digest,
        })
    }
}

fn hex_32(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Lets a request through with its [`Principal`], or refuses it.
pub async fn authenticate(
    State(callers): State<Arc<Callers>>,
    mut request: Request,
    next: Next,
) -> Response {
    match callers.find(request.headers()) {
        Some(principal) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        None => Problem::new(
            &catalogue::UNAUTHORIZED,
            "There is no valid token in the request.",
        )
        .into_response(),
    }
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Principal>()
            .cloned()
            .ok_or_else(|| Problem::internal(&"a route without authentication asks who is calling"))
    }
}

/// A caller that is an operator.
pub struct Operator(pub Principal);

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let principal = Principal::from_request_parts(parts, state).await?;
        match principal.role {
            Role::Operator => Ok(Operator(principal)),
            _ => Err(Problem::new(
                &catalogue::FORBIDDEN,
                "This address is for operators.",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST_OF_SESAME: &str =
        "d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272";

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(
            header::AUTHORIZATION,
            value.parse().expect("a header value"),
        )])
    }

    #[test]
    fn a_token_is_found_by_its_digest() {
        let callers = Callers::parse(&format!("# shops\ncustomer:7 alice {DIGEST_OF_SESAME}\n"))
            .expect("a good file");
        let found = callers.find(&headers("Bearer sesame")).expect("known");
        assert_eq!(
            found,
            Principal {
                name: Arc::from("alice"),
                role: Role::Customer(Arc::from("7"))
            }
        );
        assert_eq!(callers.find(&headers("Bearer sesam")), None);
        assert_eq!(callers.find(&headers("Basic sesame")), None);
        assert_eq!(callers.find(&HeaderMap::new()), None);
    }

    #[test]
    fn a_customer_sees_only_itself() {
        let customer = Principal {
            name: Arc::from("a"),
            role: Role::Customer(Arc::from("7")),
        };
        assert!(customer.may_see("7") && !customer.may_see("8"));
        let service = Principal {
            name: Arc::from("s"),
            role: Role::Service,
        };
        assert!(service.may_see("8"));
    }

    #[test]
    fn a_bad_token_file_is_refused_with_its_line() {
        let twice = format!("operator a {DIGEST_OF_SESAME}\nservice a {DIGEST_OF_SESAME}");
        assert!(
            Callers::parse(&twice)
                .expect_err("twice")
                .contains("line 2")
        );
        assert!(
            Callers::parse("operator a 1234")
                .expect_err("short")
                .contains("64")
        );
        assert!(Callers::parse(&format!("king a {DIGEST_OF_SESAME}")).is_err());
        assert!(Callers::parse("\n# nothing\n").is_err());
    }
}
