//! What can be wrong with a route; each says what to write instead.

use std::fmt;

use kirsch_http::ResponseError;

/// What is wrong with a part of a route. The operator's mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteError {
    /// A host without a name, or longer than a name can be.
    HostLength,
    /// A `*` elsewhere than in front.
    HostWildcard,
    /// Neither a name nor an address.
    HostName,
    /// An IPv6 address that is none, or stands without brackets.
    HostAddress,
    /// What stands behind the colon is no port.
    HostPort,
    /// A path that does not begin with a slash.
    PathStart,
    /// A path with a NUL, which no request has.
    PathNul,
    /// A method that is no token.
    Method(String),
    /// The name of a request field that is no token.
    HeaderName(String),
    /// A redirect to something that is neither a URI nor a path.
    RedirectTarget,
    /// A placeholder that is not known.
    RedirectPlaceholder(String),
    /// A status that does not redirect.
    RedirectStatus(u16),
    /// A status that no response can have.
    AnswerStatus(u16),
    /// A response field that cannot be set or removed.
    Field(ResponseError),
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            RouteError::HostLength => "a host must be a name of 1 to 253 bytes",
            RouteError::HostWildcard => {
                "a * may stand only in front, as in *.example.com; leave the host out for any host"
            }
            RouteError::HostName => {
                "a host must be a name or an address, without scheme and path; names in other scripts are written as xn--..."
            }
            RouteError::HostAddress => {
                "an IPv6 address must stand in brackets, as in [::1] or [::1]:8000"
            }
            RouteError::HostPort => "a port must be a number from 0 to 65535",
            RouteError::PathStart => "a path must begin with /",
            RouteError::PathNul => "a path must not hold NUL",
            RouteError::Method(name) => return write!(f, "{name:?} is no method"),
            RouteError::HeaderName(name) => return write!(f, "{name:?} is no name of a header"),
            RouteError::RedirectTarget => {
                "a redirect must lead to a URI with a scheme, or to a path"
            }
            RouteError::RedirectPlaceholder(name) => {
                return write!(
                    f,
                    "{{{name}}} is not known; there are {{host}}, {{path}} and {{query}}"
                );
            }
            RouteError::RedirectStatus(status) => {
                return write!(
                    f,
                    "{status} does not redirect; 301, 302, 303, 307 and 308 do"
                );
            }
            RouteError::AnswerStatus(status) => {
                return write!(f, "{status} is no status of an answer: 200 to 599");
            }
            RouteError::Field(err) => return err.fmt(f),
        };
        f.write_str(text)
    }
}

impl std::error::Error for RouteError {}

impl From<ResponseError> for RouteError {
    fn from(err: ResponseError) -> RouteError {
        RouteError::Field(err)
    }
}
