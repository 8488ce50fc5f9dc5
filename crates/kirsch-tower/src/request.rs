//! The request as `http` has it: made of the exchange's, without its body.
//!
//! The server has read it strictly already; what `http` still refuses is a target that is no URI.

use std::net::SocketAddr;
use std::sync::Arc;

use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderName, HeaderValue, Method};
use kirsch_server::{Request, TargetForm, Version};

/// The address of the client, or of the proxy in front: in the extensions of each request. `None` on unix sockets.
///
/// The extensions also hold `Arc<LocalName>`: which listener of the server the request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub Option<SocketAddr>);

/// The id of the request, as the server puts it into `X-Request-ID` and the access log: in the extensions of each
/// request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub Arc<str>);

/// What of a request `http` cannot express. The text says why, and is the client's to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inexpressible(pub(crate) &'static str);

/// Translates all but the body.
pub(crate) fn parts(request: &Request, id: &RequestId) -> Result<Parts, Inexpressible> {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = Method::from_bytes(request.method_name())
        .map_err(|_| Inexpressible("the method must be a token"))?;
    parts.uri = uri(request).ok_or(Inexpressible("the request target must be a URI"))?;
    parts.version = match request.version() {
        Version::Http10 => http::Version::HTTP_10,
        Version::Http11 => http::Version::HTTP_11,
    };
    for (_, name, value) in request.fields() {
        let name = HeaderName::from_bytes(name)
            .map_err(|_| Inexpressible("a field name must be a token"))?;
        let value = HeaderValue::from_bytes(value)
            .map_err(|_| Inexpressible("a field value must not hold control characters"))?;
        parts
            .headers
            .try_append(name, value)
            .map_err(|_| Inexpressible("there are too many fields"))?;
    }
    let origin = request.origin();
    parts.extensions.insert(PeerAddress(origin.peer));
    parts.extensions.insert(Arc::clone(&origin.local));
    parts.extensions.insert(id.clone());
    Ok(parts)
}

/// The target in the form in which it was sent; its path as the server gives it to every gateway.
fn uri(request: &Request) -> Option<Uri> {
    match request.head().form {
        TargetForm::Asterisk => Some(Uri::from_static("*")),
        TargetForm::Origin => Some(Uri::from(path_and_query(request)?)),
        TargetForm::Absolute => {
            let mut parts = Uri::try_from(request.target()).ok()?.into_parts();
            parts.path_and_query = Some(path_and_query(request)?);
            Uri::from_parts(parts).ok()
        }
    }
}

fn path_and_query(request: &Request) -> Option<PathAndQuery> {
    let (path, query) = (request.path(), request.query());
    let whole = match query {
        b"" => path.to_vec(),
        query => [path, b"?", query].concat(),
    };
    PathAndQuery::from_maybe_shared(bytes::Bytes::from(whole)).ok()
}
