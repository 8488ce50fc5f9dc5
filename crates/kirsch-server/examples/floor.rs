//! The floor of the benchmark: what the engine costs without any application.
//!
//! `cargo run --release -p kirsch-server --example floor -- PORT [THREADS [REACTORS [ROUTES]]]`
//!
//! ROUTES is `none`, `one`, `hosts` (10,000 of three routes each) or `paths` (1,000 on one host).

use std::sync::Arc;

use kirsch_server::{
    Action, Answer, Application, Bind, Condition, Config, Gateway, Route, RouteError, Router,
    RouterOptions, Serve, Server,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let port: u16 = args.next().as_deref().unwrap_or("0").parse()?;
    let threads = args.next().as_deref().unwrap_or("1").parse()?;
    let reactors = args.next().as_deref().unwrap_or("1").parse()?;
    let routes = args.next();
    let answer = Answer {
        status: "200 OK".to_owned(),
        fields: vec![("Content-Type".to_owned(), "text/plain".to_owned())],
        body: b"Hello, world!\n".to_vec(),
    };
    let config = Config {
        binds: vec![Bind::Tcp(([127, 0, 0, 1], port).into())],
        threads,
        reactors,
        ..Config::default()
    };
    let gateway: Arc<dyn Gateway> = Arc::new(answer);
    let gateway = match routes.as_deref() {
        None | Some("none") => gateway,
        Some(kind) => router(kind, gateway)?,
    };
    let server = Server::bind(config, gateway)?;
    for address in server.addresses() {
        eprintln!("serving on {address}");
    }
    server.start()?;
    server.join();
    Ok(())
}

/// The same answer behind routes.
fn router(
    kind: &str,
    gateway: Arc<dyn Gateway>,
) -> Result<Arc<dyn Gateway>, Box<dyn std::error::Error>> {
    let application = Application::new(gateway);
    let route = |host: &str, path: &str| -> Result<Route, RouteError> {
        let when = Condition {
            hosts: match host {
                "" => Vec::new(),
                host => vec![host.parse()?],
            },
            paths: vec![path.parse()?],
            ..Condition::default()
        };
        let serve = Serve::new(Arc::clone(&application));
        Ok(Route::new(when, Action::Serve(serve)))
    };
    let routes: Result<Vec<Route>, RouteError> = match kind {
        "one" => [route("", "/")].into_iter().collect(),
        "hosts" => (0..10_000)
            .map(|number| format!("h{number}.test"))
            .chain(["127.0.0.1".to_owned()])
            .flat_map(|host| ["/static", "/api/v1", "/"].map(|path| route(&host, path)))
            .collect(),
        "paths" => (0..1000)
            .map(|number| route("", &format!("/p{number}")))
            .collect(),
        other => return Err(format!("{other} are no routes").into()),
    };
    Ok(Arc::new(Router::new(routes?, RouterOptions::default())?))
}
