//! A folder of CGI scripts below `/cgi-bin`, on a port.
//!
//! `cargo run -p kirsch-cgi --example cgi -- PORT FOLDER`

use std::sync::Arc;

use kirsch_cgi::Cgi;
use kirsch_server::{
    Action, Application, Bind, Condition, Config, Route, Router, RouterOptions, Serve, Server,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let port: u16 = args.next().as_deref().unwrap_or("0").parse()?;
    let folder = args.next().unwrap_or_else(|| ".".to_owned());
    let config = Config {
        binds: vec![Bind::Tcp(([127, 0, 0, 1], port).into())],
        ..Config::default()
    };
    let scripts = Application::new(Arc::new(Cgi::folder(folder)?));
    let below = Condition {
        paths: vec!["/cgi-bin".parse()?],
        ..Condition::default()
    };
    let route = Route::new(below, Action::Serve(Serve::new(scripts)));
    let router = Router::new(vec![route], RouterOptions::default())?;
    let server = Server::bind(config, Arc::new(router))?;
    for address in server.addresses() {
        eprintln!("serving on {address}");
    }
    server.start()?;
    server.join();
    Ok(())
}
