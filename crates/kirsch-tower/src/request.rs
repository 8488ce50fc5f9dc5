//! The request as `http` has it: made of the exchange's, without its body.
//!
//! The server has read it strictly already; what `http` still refuses is a target that is no URI. Where routes
//! lead to the service, its path is what lies below the route's; what trusted proxies say is so.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderName, HeaderValue, Method, header};
use kirsch_server::{Request, TargetForm, Version};

/// Where the service is mounted: in the extensions of each request. The path of its URI is what lies below, as within
/// `nest_service` of axum, so that a link of the service's to itself begins with this.
///
/// Percent-encoded; empty, or it begins with a slash and does not end with one. It is the path of the route that leads
/// to the service, as the client has written it, behind the prefix that a trusted proxy took off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount(pub Arc<str>);

/// Who asks: in the extensions of each request. That is the peer, or whom a trusted proxy names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    /// `None` on unix sockets, unless a trusted proxy says.
    pub ip: Option<IpAddr>,
    /// As far as it is known.
    pub port: Option<u16>,
}

/// The address that the connection comes from, the proxy's if there is one in front: in the extensions of each
/// request. `None` on unix sockets.
///
/// The extensions also hold `Arc<LocalName>`: which listener of the server the request came to; and `Scheme`: how the
/// client speaks.
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
    if request.is_forwarded()
        && let Some(host) = request.authority()
    {
        let host = HeaderValue::from_bytes(host)
            .map_err(|_| Inexpressible("a host must not hold control characters"))?;
        parts.headers.insert(header::HOST, host);
    }
    let origin = request.origin();
    parts.extensions.insert(PeerAddress(origin.peer));
    parts.extensions.insert(ClientAddress {
        ip: request.client_ip(),
        port: request.client_port(),
    });
    parts.extensions.insert(request.scheme());
    parts.extensions.insert(mount(request));
    parts.extensions.insert(Arc::clone(&origin.local));
    parts.extensions.insert(id.clone());
    Ok(parts)
}

fn mount(request: &Request) -> Mount {
    let mut text = String::new();
    for &byte in request.prefix() {
        // What a path may hold as it is (RFC 3986, 3.3). A proxy's prefix comes decoded.
        if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text.push_str(&String::from_utf8_lossy(request.mount()));
    Mount(text.into())
}

/// The target in the form in which it was sent; its path is what lies below the mount.
fn uri(request: &Request) -> Option<Uri> {
    match request.head().form {
        TargetForm::Asterisk => Some(Uri::from_static("*")),
        TargetForm::Authority => std::str::from_utf8(request.target()).ok()?.parse().ok(),
        TargetForm::Origin => Some(Uri::from(path_and_query(request)?)),
        TargetForm::Absolute => {
            let mut parts = Uri::try_from(request.target()).ok()?.into_parts();
            parts.path_and_query = Some(path_and_query(request)?);
            Uri::from_parts(parts).ok()
        }
    }
}

fn path_and_query(request: &Request) -> Option<PathAndQuery> {
    let (path, query) = (request.path_below_mount(), request.query());
    // At the mount itself nothing is left, and the slash that follows it may be encoded: a URI needs one.
    let path = match path {
        [b'%', b'2', b'F' | b'f', rest @ ..] => [b"/", rest].concat(),
        [] => b"/".to_vec(),
        path => path.to_vec(),
    };
    let whole = match query {
        b"" => path,
        query => [path.as_slice(), b"?", query].concat(),
    };
    PathAndQuery::from_maybe_shared(bytes::Bytes::from(whole)).ok()
}
