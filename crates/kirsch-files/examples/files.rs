//! Serves a folder: the yardstick for static files, and the shortest program that does so.
//!
//! `cargo run --release -p kirsch-files --example files -- FOLDER PORT [THREADS [REACTORS]]`

use std::sync::Arc;

use kirsch_files::{Files, FilesOptions};
use kirsch_server::{Bind, Config, Server};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args
        .next()
        .ok_or("usage: files FOLDER PORT [THREADS [REACTORS]]")?;
    let port: u16 = args.next().as_deref().unwrap_or("0").parse()?;
    let threads = args.next().as_deref().unwrap_or("4").parse()?;
    let reactors = args.next().as_deref().unwrap_or("1").parse()?;
    let files = Files::new(FilesOptions::new(folder))?;
    let config = Config {
        binds: vec![Bind::Tcp(([127, 0, 0, 1], port).into())],
        threads,
        reactors,
        ..Config::default()
    };
    let server = Server::bind(config, Arc::new(files))?;
    for address in server.addresses() {
        eprintln!("serving on {address}");
    }
    server.start()?;
    server.join();
    Ok(())
}
