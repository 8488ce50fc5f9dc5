//! Several applications behind one server, chosen by host and path.
//!
//! `cargo run -p kirsch-server --example sites -- 8000`, then
//! `curl --resolve shop.test:8000:127.0.0.1 http://shop.test:8000/cart/7`.

use std::num::NonZeroUsize;
use std::sync::Arc;

use kirsch_server::{
    Action, Application, Bind, Condition, Config, Exchange, FixedAnswer, Gateway, Redirect,
    ResponseHead, Route, Router, RouterOptions, Serve, Server,
};

/// Tells what it was asked for.
struct Site(&'static str);

impl Gateway for Site {
    fn handle(&self, exchange: Exchange) {
        let request = exchange.request();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let answer = format!(
            "{}, mounted at {:?}, is asked for {:?}\n",
            self.0,
            text(request.mount()),
            text(request.path_below_mount())
        );
        let mut head = ResponseHead::new();
        let made = head
            .status(b"200 OK")
            .and_then(|()| head.field(b"Content-Type", b"text/plain; charset=utf-8"));
        if made.is_ok() {
            exchange.respond(head, answer.as_bytes());
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::args().nth(1).as_deref().unwrap_or("0").parse()?;
    let shop = Application::new(Arc::new(Site("the shop")));
    // However slow it becomes, two threads are left to the others.
    let two = NonZeroUsize::new(2).ok_or("two is more than nothing")?;
    let search = Application::with_threads(Arc::new(Site("the search")), two);

    let for_shop = Condition {
        hosts: vec!["shop.test".parse()?, "*.shop.test".parse()?],
        ..Condition::default()
    };
    let under_search = Condition {
        paths: vec!["/search".parse()?],
        ..for_shop.clone()
    };
    let old = Condition {
        hosts: vec!["store.test".parse()?],
        ..Condition::default()
    };
    let mut shop_route = Route::new(for_shop, Action::Serve(Serve::new(shop)));
    shop_route.fields.set(b"X-Frame-Options", b"DENY")?;
    let routes = vec![
        Route::new(under_search, Action::Serve(Serve::new(search))),
        shop_route,
        Route::new(
            old,
            Action::Redirect(Redirect::new("http://shop.test{path}{query}", 308)?),
        ),
        Route::new(
            Condition::default(),
            Action::Answer(FixedAnswer::new(404, Some(b"no such site\n".to_vec()))?),
        ),
    ];
    let config = Config {
        binds: vec![Bind::Tcp(([127, 0, 0, 1], port).into())],
        threads: 4,
        ..Config::default()
    };
    let router = Router::new(routes, RouterOptions::default())?;
    let server = Server::bind(config, Arc::new(router))?;
    for address in server.addresses() {
        eprintln!("serving on {address}");
    }
    server.start()?;
    server.join();
    Ok(())
}
