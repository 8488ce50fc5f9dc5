//! An application of axum behind the server: JSON, extractors, state, and bodies that stream.
//!
//! `cargo run -p kirsch-tower --example axum -- PORT`, then for instance
//! `curl -d '{"name": "Morello", "stones": 1}' -H 'Content-Type: application/json' localhost:PORT/cherries`,
//! `curl localhost:PORT/cherries?most=5`, `curl -N localhost:PORT/ripen/5`, `curl -T FILE localhost:PORT/echo`.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use futures_util::stream;
use kirsch_server::{Bind, Config, Server};
use kirsch_tower::TowerGateway;
use serde::{Deserialize, Serialize};

#[derive(Clone, Deserialize, Serialize)]
struct Cherry {
    name: String,
    stones: u32,
}

/// What all requests share.
type Basket = Arc<Mutex<Vec<Cherry>>>;

#[derive(Deserialize)]
struct Page {
    most: Option<usize>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).as_deref().unwrap_or("0").parse()?;
    let application = Router::new()
        .route("/cherries", get(list).post(add))
        .route("/ripen/{days}", get(ripen))
        .route("/echo", put(echo).post(echo))
        .with_state(Basket::default());
    let config = Config {
        binds: vec![Bind::Tcp(([127, 0, 0, 1], port).into())],
        // They read and send; the application is on threads of its own.
        threads: 2,
        ..Config::default()
    };
    let server = Server::bind(config, Arc::new(TowerGateway::new(application)?))?;
    server.start()?;
    for address in server.addresses() {
        eprintln!("serving on {address}");
    }
    server.join();
    Ok(())
}

async fn list(State(basket): State<Basket>, Query(page): Query<Page>) -> Json<Vec<Cherry>> {
    let basket = basket.lock().unwrap_or_else(PoisonError::into_inner);
    let most = page.most.unwrap_or(basket.len());
    Json(basket.iter().take(most).cloned().collect())
}

async fn add(State(basket): State<Basket>, Json(cherry): Json<Cherry>) -> impl IntoResponse {
    let mut basket = basket.lock().unwrap_or_else(PoisonError::into_inner);
    basket.push(cherry.clone());
    (StatusCode::CREATED, Json(cherry))
}

/// A line a second. A client that leaves ends it.
async fn ripen(Path(days): Path<u32>) -> Response {
    let lines = stream::unfold(0, move |day| async move {
        if day == days {
            return None;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let day = day + 1;
        Some((Ok::<_, Infallible>(format!("day {day}\n")), day))
    });
    Body::from_stream(lines).into_response()
}

/// Sends the body back while it arrives.
async fn echo(request: Request) -> Body {
    request.into_body()
}
