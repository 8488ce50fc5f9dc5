//! What works and what does not, told by whoever knows: an application of axum's, which knows nothing of Kirsch but
//! where it is mounted.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::stream;
use kirsch_tower::Mount;
use serde::{Deserialize, Serialize};

/// More services than this are somebody's mistake.
const MOST: usize = 100;

/// Of each service what was said last. It is kept in memory, and gone with the server.
type Board = Arc<Mutex<BTreeMap<String, Report>>>;

/// What is said of a service.
#[derive(Clone, Deserialize, Serialize)]
struct Report {
    works: bool,
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
struct Ticks {
    count: Option<u32>,
}

/// The application, with nothing on its board.
pub fn application() -> Router {
    Router::new()
        .route("/", get(overview))
        .route("/services/{name}", get(report).put(put_report))
        .route("/ticks", get(ticks))
        .with_state(Board::default())
}

/// All services, each with a link that holds wherever the application is mounted.
async fn overview(
    State(board): State<Board>,
    Extension(Mount(mount)): Extension<Mount>,
) -> impl IntoResponse {
    let services: BTreeMap<String, (Report, String)> = lock(&board)
        .iter()
        .map(|(name, report)| {
            let link = format!("{mount}/services/{name}");
            (name.clone(), (report.clone(), link))
        })
        .collect();
    Json(services)
}

async fn report(State(board): State<Board>, Path(name): Path<String>) -> Response {
    match lock(&board).get(&name) {
        Some(report) => Json(report.clone()).into_response(),
        None => (StatusCode::NOT_FOUND, "nothing is known of it\n").into_response(),
    }
}

async fn put_report(
    State(board): State<Board>,
    Path(name): Path<String>,
    Json(report): Json<Report>,
) -> StatusCode {
    let mut board = lock(&board);
    if board.len() >= MOST && !board.contains_key(&name) {
        return StatusCode::INSUFFICIENT_STORAGE;
    }
    match board.insert(name, report) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::CREATED,
    }
}

/// A line now and another every 100 ms, so many as asked for, 10 without that: a body that streams. While it waits it
/// keeps no thread.
async fn ticks(Query(Ticks { count }): Query<Ticks>) -> impl IntoResponse {
    let count = count.unwrap_or(10);
    let lines = stream::unfold(0, move |tick| async move {
        if tick == count {
            return None;
        }
        if tick > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let line = Bytes::from(format!("tick {tick}\n"));
        Some((Ok::<_, Infallible>(line), tick + 1))
    });
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (kind, Body::from_stream(lines))
}

fn lock(board: &Board) -> MutexGuard<'_, BTreeMap<String, Report>> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}
