//! One request with its response, as a task: calls the service and gives what it answers.
//!
//! The task owns the exchange and what the service makes of the request. When nobody will receive the
//! response any more it returns, which drops both: a service that has to finish something spawns it.
//! Read next: `request_body.rs`, and `exchange/detached.rs` of `kirsch-server`.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http_body::{Body, Frame};
use kirsch_server::{Detached, ErrorAnswer, Finished, Gone, Status};
use tokio::runtime::Handle;
use tower_service::Service;
use tracing::{debug, error, warn};

use crate::request::{self, Inexpressible, RequestId};
use crate::response_head::{self, Refused};
use crate::{BoxError, RequestBody};

/// Why a response is not whole.
enum Failure {
    /// Nobody receives it.
    Gone,
    Inexpressible(Inexpressible),
    /// The service failed.
    Service(BoxError),
    Refused(Refused),
    /// The body of the response failed.
    Body(BoxError),
}

/// Answers one exchange.
pub(crate) async fn converse<S, B>(service: S, mut exchange: Detached, runtime: Handle)
where
    S: Service<http::Request<RequestBody>, Response = http::Response<B>>,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    let id = RequestId(exchange.request().id().to_text().into());
    let answered = {
        let mut answer = pin!(answer(service, &mut exchange, &id, runtime));
        poll_fn(|task| survive(answer.as_mut(), task)).await
    };
    let request = &*id.0;
    match answered {
        Some(Ok(finished)) => check(finished, request),
        Some(Err(Failure::Gone)) => debug!(request, "the client left before its response was sent"),
        Some(Err(Failure::Inexpressible(Inexpressible(why)))) => {
            debug!(request, why, "request refused");
            exchange.answer(&ErrorAnswer::new(Status(400), why));
        }
        Some(Err(Failure::Service(err))) => {
            let target = target(&exchange);
            error!(request, target, error = %Chain(&*err), "a service failed");
            exchange.abort();
        }
        Some(Err(Failure::Refused(Refused { what, why }))) => {
            let target = target(&exchange);
            error!(request, target, what, %why, "the head of a service's response was refused");
            exchange.abort();
        }
        Some(Err(Failure::Body(err))) => {
            let target = target(&exchange);
            error!(request, target, error = %Chain(&*err), "the body of a service's response failed");
            exchange.abort();
        }
        None => {
            let target = target(&exchange);
            error!(
                request,
                target, "a service panicked; its request was answered with 500 or aborted"
            );
            exchange.abort_after_panic();
        }
    }
}

async fn answer<S, B>(
    mut service: S,
    exchange: &mut Detached,
    id: &RequestId,
    runtime: Handle,
) -> Result<Finished, Failure>
where
    S: Service<http::Request<RequestBody>, Response = http::Response<B>>,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    let parts = request::parts(exchange.request(), id)?;
    let body = RequestBody::take(exchange.request_mut(), runtime);
    let request = http::Request::from_parts(parts, body);
    let call = async move {
        poll_fn(|task| service.poll_ready(task)).await?;
        service.call(request).await
    };
    let response = unless_gone(exchange, call).await?;
    let (parts, body) = response
        .map_err(|err: S::Error| Failure::Service(err.into()))?
        .into_parts();
    let head = response_head::translate(&parts)?;
    let length = body.size_hint().exact();
    let announced = head.content_length().or(length);
    exchange.begin(head, length);
    send(exchange, body, announced).await?;
    Ok(exchange.finish())
}

/// Gives the body, of which so many bytes were announced. What comes after them is not asked for.
async fn send<B>(
    exchange: &mut Detached,
    body: B,
    mut announced: Option<u64>,
) -> Result<(), Failure>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    while exchange.wants_more() && announced != Some(0) && !body.is_end_stream() {
        let Some(frame) = poll_fn(|task| next(exchange, body.as_mut(), task)).await? else {
            break;
        };
        match frame.into_data() {
            Ok(mut data) => {
                let block = data.copy_to_bytes(data.remaining());
                announced = announced.map(|left| left.saturating_sub(block.len() as u64));
                exchange.block(block)?;
            }
            Err(_) => debug!("the trailers of a response are not sent"),
        }
        // A body that is always ready, and a client that keeps up, leave others their turn.
        tokio::task::consume_budget().await;
    }
    Ok(())
}

/// The next frame, once there is room for it. The head does not wait for a body that is not ready.
fn next<B>(
    exchange: &mut Detached,
    body: Pin<&mut B>,
    task: &mut Context<'_>,
) -> Poll<Result<Option<Frame<B::Data>>, Failure>>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    ready!(exchange.poll_room(task))?;
    match body.poll_frame(task) {
        Poll::Ready(frame) => {
            Poll::Ready(frame.transpose().map_err(|err| Failure::Body(err.into())))
        }
        Poll::Pending => {
            exchange.send_head()?;
            exchange.poll_gone(task).map(|Gone| Err(Failure::Gone))
        }
    }
}

/// Waits for `future`, unless nobody will receive what comes of it.
async fn unless_gone<F: Future>(exchange: &mut Detached, future: F) -> Result<F::Output, Gone> {
    let mut future = pin!(future);
    poll_fn(|task| match future.as_mut().poll(task) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => exchange.poll_gone(task).map(Err),
    })
    .await
}

/// Polls a future that must not end the task if it panics: then it answers `None`, and the future is to be dropped.
/// The panic hook has reported what is caught here.
fn survive<F: Future>(future: Pin<&mut F>, task: &mut Context<'_>) -> Poll<Option<F::Output>> {
    match catch_unwind(AssertUnwindSafe(|| future.poll(task))) {
        Ok(polled) => polled.map(Some),
        Err(_) => Poll::Ready(None),
    }
}

/// Method and target of a request whose exchange has not ended, fit for a line of a log.
fn target(exchange: &Detached) -> String {
    let request = exchange.request();
    let method = request.method_name().escape_ascii();
    format!("{method} {}", request.target().escape_ascii())
}

fn check(finished: Finished, request: &str) {
    let Finished { missing, overflow } = finished;
    if missing > 0 {
        warn!(
            request,
            missing, "a body was shorter than its Content-Length; the response was aborted"
        );
    }
    if overflow > 0 {
        warn!(
            request,
            overflow, "a body was longer than its Content-Length; the rest was dropped"
        );
    }
}

/// An error and what led to it.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(err) = source {
            write!(f, ": {err}")?;
            source = err.source();
        }
        Ok(())
    }
}

impl From<Gone> for Failure {
    fn from(_: Gone) -> Failure {
        Failure::Gone
    }
}

impl From<Inexpressible> for Failure {
    fn from(what: Inexpressible) -> Failure {
        Failure::Inexpressible(what)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        Failure::Refused(refused)
    }
}
