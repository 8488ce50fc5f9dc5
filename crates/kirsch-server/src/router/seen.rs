//! What routes see of a request: who asks, how, and for what, each as a trusted proxy says where there is one.

use std::borrow::Cow;
use std::net::IpAddr;

use kirsch_http::decode_path;

use super::host::HostName;
use crate::forwarded::Scheme;
use crate::request::Request;

/// A request as routes see it.
pub(super) struct Seen<'a> {
    request: &'a Request,
    host: Option<HostName>,
    /// Decoded.
    path: Cow<'a, [u8]>,
}

impl<'a> Seen<'a> {
    pub(super) fn of(request: &'a Request) -> Seen<'a> {
        Seen::at(request, request.path())
    }

    /// The same with another path, undecoded.
    pub(super) fn at(request: &'a Request, raw: &'a [u8]) -> Seen<'a> {
        let path = if raw.contains(&b'%') {
            let mut decoded = Vec::with_capacity(raw.len());
            decode_path(raw, &mut decoded);
            Cow::Owned(decoded)
        } else {
            Cow::Borrowed(raw)
        };
        let default_port = request.scheme().default_port();
        Seen {
            host: request
                .authority()
                .and_then(|it| HostName::of(it, default_port)),
            request,
            path,
        }
    }

    pub(super) fn host(&self) -> Option<&HostName> {
        self.host.as_ref()
    }

    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    pub(super) fn method(&self) -> &[u8] {
        self.request.method_name()
    }

    pub(super) fn has_field(&self, name: &str, value: &str) -> bool {
        self.request.fields().any(|(_, found, given)| {
            found.eq_ignore_ascii_case(name.as_bytes()) && given == value.as_bytes()
        })
    }

    pub(super) fn scheme(&self) -> Scheme {
        self.request.scheme()
    }

    pub(super) fn client(&self) -> Option<IpAddr> {
        self.request.client_ip()
    }
}
