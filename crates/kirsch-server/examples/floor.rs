//! The floor of the benchmark: what the engine costs without any application.
//!
//! `cargo run --release -p kirsch-server --example floor -- PORT [THREADS [REACTORS]]`

use std::sync::Arc;

use kirsch_server::{Answer, Bind, Config, Server};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let port: u16 = args.next().as_deref().unwrap_or("0").parse()?;
    let threads = args.next().as_deref().unwrap_or("1").parse()?;
    let reactors = args.next().as_deref().unwrap_or("1").parse()?;
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
    let server = Server::bind(config, Arc::new(answer))?;
    for address in server.addresses() {
        eprintln!("serving on {address}");
    }
    server.start()?;
    server.join();
    Ok(())
}
