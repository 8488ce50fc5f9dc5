//! The gateway: hands each exchange to a task of its own.
//!
//! Read next: `conversation.rs`, which is that task.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use http_body::Body;
use kirsch_server::{Exchange, Gateway, Lane, Request};
use tower_service::Service;

use crate::conversation::converse;
use crate::{BoxError, RequestBody, Runtime};

/// Answers requests with a service. Each request gets a clone of the service, which is called once it is ready.
///
/// Nothing here bounds how many requests are in the service at once but the number of connections; a layer such as
/// `tower::limit` does, if the service needs it.
pub struct TowerGateway<S> {
    /// Under a lock, so that services that only one thread may look at are welcome. It is held for a clone.
    service: Mutex<S>,
    runtime: Runtime,
    bodies: Bodies,
}

/// When the service is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bodies {
    /// When the head is there.
    Streamed,
    /// When all of the body is there, too.
    Buffered,
}

impl<S> TowerGateway<S> {
    /// A gateway with a runtime of its own, which has [`Runtime::WORKERS`] threads.
    ///
    /// # Errors
    ///
    /// As [`Runtime::start`].
    pub fn new(service: S) -> io::Result<TowerGateway<S>> {
        let runtime = Runtime::start(Runtime::WORKERS)?;
        Ok(TowerGateway::on(&runtime, service))
    }

    /// A gateway on a runtime that others may be on as well.
    pub fn on(runtime: &Runtime, service: S) -> TowerGateway<S> {
        TowerGateway {
            service: Mutex::new(service),
            runtime: runtime.clone(),
            bodies: Bodies::Streamed,
        }
    }

    /// Has the server read each body to its end before the service is called: in memory, then in a file. Default: the
    /// service reads while the client sends, since a slow client costs it a task and no thread. Worth it where a
    /// request in the service holds something scarce, such as a connection to a database.
    #[must_use]
    pub fn buffer_bodies(self) -> TowerGateway<S> {
        TowerGateway {
            bodies: Bodies::Buffered,
            ..self
        }
    }
}

impl<S, B> Gateway for TowerGateway<S>
where
    S: Service<http::Request<RequestBody>, Response = http::Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    fn handle(&self, exchange: Exchange) {
        let service = self
            .service
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let runtime = self.runtime.handle();
        // A runtime that has ended drops the task, and so answers with 500.
        runtime.spawn(converse(service, exchange.detach(), runtime.clone()));
    }

    fn lane(&self) -> Lane {
        Lane::Inline
    }

    fn streams_body(&self, _request: &Request) -> bool {
        self.bodies == Bodies::Streamed
    }
}

impl<S> fmt::Debug for TowerGateway<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerGateway")
            .field("runtime", &self.runtime)
            .field("bodies", &self.bodies)
            .finish_non_exhaustive()
    }
}
