//! The head of a response: what the service gave, checked and put together as for every application.

use http::response::Parts;
use kirsch_server::{ResponseError, ResponseHead};

/// What of a head was refused, and why.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) what: String,
    pub(crate) why: ResponseError,
}

/// Translates a head. Fields that describe the connection are refused as they are from a WSGI application, since who
/// sets them expects something of the connection that would not happen; `Connection: close` is followed.
pub(crate) fn translate(parts: &Parts) -> Result<ResponseHead, Refused> {
    let status = parts.status;
    let reason = status.canonical_reason().unwrap_or_default();
    let line = format!("{} {reason}", status.as_str());
    let mut head = ResponseHead::new();
    head.status(line.as_bytes()).map_err(|why| Refused {
        what: line.clone(),
        why,
    })?;
    for (name, value) in &parts.headers {
        head.field(name.as_str().as_bytes(), value.as_bytes())
            .map_err(|why| Refused {
                what: name.as_str().to_owned(),
                why,
            })?;
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    fn refusal(response: http::response::Builder) -> Option<(String, ResponseError)> {
        let (parts, ()) = response.body(()).expect("http allows it").into_parts();
        let refused = translate(&parts).err()?;
        Some((refused.what, refused.why))
    }

    #[test]
    fn what_describes_the_connection_is_the_servers() {
        use ResponseError::{ContentLengthConflict, HopByHop, StatusOutOfRange};
        let ok = Response::builder;
        let refused = |what: &str, why| Some((what.to_owned(), why));
        assert_eq!(refusal(ok().header("connection", "close")), None);
        assert_eq!(refusal(ok().header("x-a", "1").header("x-a", "2")), None);
        assert_eq!(
            refusal(ok().header("connection", "upgrade")),
            refused("connection", HopByHop)
        );
        assert_eq!(
            refusal(ok().header("transfer-encoding", "chunked")),
            refused("transfer-encoding", HopByHop)
        );
        assert_eq!(
            refusal(
                ok().header("content-length", "1")
                    .header("content-length", "2")
            ),
            refused("content-length", ContentLengthConflict)
        );
        assert_eq!(
            refusal(ok().status(101)),
            refused("101 Switching Protocols", StatusOutOfRange)
        );
        assert_eq!(refusal(ok().status(299)), None, "a status without a reason");
    }
}
