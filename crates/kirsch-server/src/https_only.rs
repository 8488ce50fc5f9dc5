//! A gateway before another: what comes in the clear is sent to the same address with https, and the rest passes.
//!
//! A request that a trusted proxy has had over https counts as such, or it would be sent round in circles.

use std::sync::Arc;

use kirsch_pool::Lane;

use crate::exchange::Exchange;
use crate::forwarded::Scheme;
use crate::gateway::{Gateway, Terms};
use crate::listener::BoundAddress;
use crate::request::Request;
use crate::router::{Redirect, RouteError};

/// The method stays what it is (RFC 9110, 15.4.9): a form that was sent to http:// is sent again.
const PERMANENT_REDIRECT: u16 = 308;

/// The gateway.
pub(crate) struct HttpsOnly {
    redirect: Redirect,
    inner: Arc<dyn Gateway>,
}

impl HttpsOnly {
    /// Redirects to the first of these addresses that speaks TLS.
    pub(crate) fn new(
        inner: Arc<dyn Gateway>,
        addresses: &[BoundAddress],
    ) -> Result<HttpsOnly, RouteError> {
        let secure = addresses.iter().find_map(|address| match address {
            BoundAddress::Tls(addr) => Some(addr.port()),
            BoundAddress::Tcp(_) | BoundAddress::Unix(_) | BoundAddress::Abstract(_) => None,
        });
        let to = match secure {
            Some(443) | None => "https://{host}{path}{query}".to_owned(),
            Some(port) => format!("https://{{host}}:{port}{{path}}{{query}}"),
        };
        Ok(HttpsOnly {
            redirect: Redirect::new(&to, PERMANENT_REDIRECT)?,
            inner,
        })
    }
}

impl Gateway for HttpsOnly {
    fn handle(&self, exchange: Exchange) {
        match exchange.request().scheme() {
            Scheme::Http => self.redirect.give(exchange),
            Scheme::Https => self.inner.handle(exchange),
        }
    }

    fn admit(&self, request: &mut Request) -> Terms {
        match request.scheme() {
            // At once, whatever the body.
            Scheme::Http => Terms {
                streams_body: true,
                ..Terms::new(Lane::Inline)
            },
            Scheme::Https => self.inner.admit(request),
        }
    }

    fn needs_interpreter(&self) -> bool {
        self.inner.needs_interpreter()
    }

    fn lane(&self) -> Lane {
        self.inner.lane()
    }

    fn cut(&self) {
        self.inner.cut();
    }

    fn unfreed_bytes(&self) -> u64 {
        self.inner.unfreed_bytes()
    }

    fn free(&self) {
        self.inner.free();
    }
}
