//! When a route applies: what it asks of a request.

use std::net::IpAddr;

use kirsch_http::is_token;

use super::error::RouteError;
use super::host::HostPattern;
use super::path::PathPrefix;
use super::seen::Seen;
use crate::forwarded::Scheme;
use crate::network::Network;

/// What a route asks of a request; each part that is left empty asks nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// The host asked for is one of these. A request without a host is for none.
    pub hosts: Vec<HostPattern>,
    /// One of these is a prefix of the path.
    pub paths: Vec<PathPrefix>,
    /// The method is one of these, in their case; `GET` is `HEAD` too (RFC 9110 section 9.3.2).
    pub methods: Vec<String>,
    /// Each of these fields is there with exactly this value. Names are compared without regard to case.
    pub headers: Vec<(String, String)>,
    /// How the client reached the server, or the first proxy that is trusted.
    pub scheme: Option<Scheme>,
    /// The client's address lies in one of these networks. A client at a unix socket is in none.
    pub clients: Vec<Network>,
}

impl Condition {
    /// Looks at what no type of a part has looked at.
    ///
    /// # Errors
    ///
    /// The part that no request can meet.
    pub fn check(&self) -> Result<(), RouteError> {
        if let Some(name) = self.methods.iter().find(|it| !is_token(it.as_bytes())) {
            return Err(RouteError::Method(name.clone()));
        }
        let mut names = self.headers.iter().map(|(name, _)| name);
        match names.find(|it| !is_token(it.as_bytes())) {
            Some(name) => Err(RouteError::HeaderName(name.clone())),
            None => Ok(()),
        }
    }

    /// Whether it asks for nothing but host and path.
    pub(super) fn is_plain(&self) -> bool {
        self.methods.is_empty()
            && self.headers.is_empty()
            && self.scheme.is_none()
            && self.clients.is_empty()
    }

    /// Whether a request meets what has to do with neither host nor path.
    pub(super) fn matches_rest(&self, seen: &Seen<'_>) -> bool {
        self.matches_method(seen.method())
            && self
                .headers
                .iter()
                .all(|(name, value)| seen.has_field(name, value))
            && self.scheme.is_none_or(|scheme| scheme == seen.scheme())
            && (self.clients.is_empty() || seen.client().is_some_and(|it| self.matches_client(it)))
    }

    fn matches_method(&self, method: &[u8]) -> bool {
        self.methods.is_empty()
            || self
                .methods
                .iter()
                .any(|name| name.as_bytes() == method || (name == "GET" && method == b"HEAD"))
    }

    fn matches_client(&self, client: IpAddr) -> bool {
        self.clients.iter().any(|net| net.contains(client))
    }
}
