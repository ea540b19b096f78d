//! Query parameters. One that an address does not have is refused by its name: a filter with a typo in it must not pass as no
//! filter at all. Which ones there are is what the description of the API says.

use axum::extract::{FromRequestParts, MatchedPath, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::catalogue;
use super::problem::Problem;

/// Parameters told by name that are not known; a client with a typo has one.
const UNKNOWN_TOLD: usize = 5;

/// Longest name told, in characters; the longest of ours has ten.
const NAME_MAX: usize = 40;

/// The parameters of an address.
pub struct ApiQuery<T>(pub T);

impl<S: Sync, T: DeserializeOwned + IntoParams> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        refuse_others(parts, names::<T>)?;
        read(parts).map(ApiQuery)
    }
}

/// The parameters that a list shares with others, and its own.
pub struct ApiQueries<T, U>(pub T, pub U);

impl<S, T, U> FromRequestParts<S> for ApiQueries<T, U>
where
    S: Sync,
    T: DeserializeOwned + IntoParams,
    U: DeserializeOwned + IntoParams,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        refuse_others(parts, || [names::<T>(), names::<U>()].concat())?;
        Ok(ApiQueries(read(parts)?, read(parts)?))
    }
}

fn names<T: IntoParams>() -> Vec<String> {
    let described = T::into_params(|| None).into_iter();
    described.map(|parameter| parameter.name).collect()
}

fn read<T: DeserializeOwned>(parts: &Parts) -> Result<T, Problem> {
    match Query::<T>::try_from_uri(&parts.uri) {
        Ok(Query(value)) => Ok(value),
        Err(rejection) => Err(Problem::new(
            &catalogue::INVALID_QUERY,
            format!("{}.", rejection.body_text()),
        )),
    }
}

/// Names every parameter that is not one of these, and these.
fn refuse_others(parts: &Parts, known: impl FnOnce() -> Vec<String>) -> Result<(), Problem> {
    if parts.uri.query().is_none_or(str::is_empty) {
        return Ok(());
    }
    let (given, known): (Vec<(String, String)>, _) = (read(parts)?, known());
    let mut unknown: Vec<String> = Vec::new();
    for (name, _) in given {
        if !known.contains(&name) && !unknown.contains(&name) {
            unknown.push(name);
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let told = listed(unknown.iter().take(UNKNOWN_TOLD).map(|name| short(name)));
    let more = match unknown.len().saturating_sub(UNKNOWN_TOLD) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let matched = parts.extensions.get::<MatchedPath>();
    let place = matched.map_or("This address", MatchedPath::as_str);
    let known = listed(known.iter().map(String::as_str));
    let detail = format!("{place} has no query parameter {told}{more}; it has {known}.");
    Err(Problem::new(&catalogue::INVALID_QUERY, detail))
}

fn short(name: &str) -> &str {
    name.char_indices()
        .nth(NAME_MAX)
        .map_or(name, |(end, _)| &name[..end])
}

fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let quoted: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, IntoParams)]
    #[serde(rename_all = "camelCase")]
    struct Common {
        customer_id: Option<String>,
        size: Option<usize>,
    }

    #[derive(Debug, Deserialize, IntoParams)]
    struct Own {
        kind: Option<String>,
    }

    fn parts(query: &str) -> Parts {
        let request = Request::get(format!("/list?{query}")).body(());
        request.expect("a request").into_parts().0
    }

    async fn refused(query: &str) -> String {
        let read = ApiQueries::<Common, Own>::from_request_parts(&mut parts(query), &()).await;
        read.map_or_else(|problem| format!("{problem:?}"), |_| String::new())
    }

    #[tokio::test]
    async fn what_a_list_shares_and_what_is_its_own_is_read_side_by_side() {
        let mut parts = parts("kind=shipped&size=7&customerId=a%20b");
        let read = ApiQueries::<Common, Own>::from_request_parts(&mut parts, &()).await;
        let ApiQueries(common, own) = read.expect("known parameters");
        assert_eq!(
            (common.customer_id.as_deref(), common.size),
            (Some("a b"), Some(7))
        );
        assert_eq!(own.kind.as_deref(), Some("shipped"));
        assert_eq!(refused("").await, "");
    }

    #[tokio::test]
    async fn every_unknown_parameter_is_named_beside_those_that_there_are() {
        let told = refused("custmerId=33&size=7&kind=x&Kind=y&custmerId=34").await;
        let expected =
            "has no query parameter `custmerId`, `Kind`; it has `customerId`, `size`, `kind`.";
        assert!(told.contains(expected), "{told}");
    }

    #[tokio::test]
    async fn of_very_many_and_very_long_names_only_the_beginning_is_told() {
        let long = "x".repeat(1_000);
        let told = refused(&format!("{long}=1&b&c&d&e&f&g")).await;
        let expected = format!("`{}`, `b`, `c`, `d`, `e` and 2 more;", "x".repeat(NAME_MAX));
        assert!(told.contains(&expected), "{told}");
    }
}
