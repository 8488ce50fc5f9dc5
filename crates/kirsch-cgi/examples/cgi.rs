//! A folder of CGI scripts on a port.
//!
//! `cargo run -p kirsch-cgi --example cgi -- PORT FOLDER`

use std::sync::Arc;

use kirsch_cgi::Cgi;
use kirsch_server::{Bind, Config, Server};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let port: u16 = args.next().as_deref().unwrap_or("0").parse()?;
    let folder = args.next().unwrap_or_else(|| ".".to_owned());
    let config = Config {
        binds: vec![Bind::Tcp(([127, 0, 0, 1], port).into())],
        ..Config::default()
    };
    let scripts = Cgi::folder(folder)?.below("/cgi-bin");
    let server = Server::bind(config, Arc::new(scripts))?;
    for address in server.addresses() {
        eprintln!("serving on {address}");
    }
    server.start()?;
    server.join();
    Ok(())
}
