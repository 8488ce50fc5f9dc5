//! The `environ` dictionary (PEP 3333, "environ Variables"): a copy of a template, and what the request adds.
//!
//! Built for each request, so this is where nanoseconds count: keys are made once, and values that
//! clients repeat (host, agent, accepted types) are kept per thread and compared instead of made again.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use kirsch_http::{BodyLength, FieldName, Method, Version, decode_path, decode_path_but_slashes};
use kirsch_server::{Body, Origin, Request, Scheme, Secured};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyString, PyTuple};

use crate::cheroot::Told;
use crate::file_wrapper::FileWrapper;
use crate::input::Input;
use crate::text::latin1;

/// Values longer than this are not worth keeping; comparing them costs more than making them.
const LONGEST_KEPT: usize = 512;
/// Names of fields we do not know that are kept as keys, per thread.
const MOST_NAMES: usize = 256;
/// Longer names are not kept: a client may send what it likes.
const LONGEST_NAME: usize = 64;
const PORTS: usize = 256;

/// The part of `environ` that is the same for all requests of a listener.
pub(crate) struct Template {
    dict: Py<PyDict>,
    /// Has what programs written for cheroot find beside the request's own; `None` for others.
    cheroot: Option<Arc<Told>>,
}

/// What of a request's `environ` error reports need, whatever the application did to the dictionary.
pub(crate) struct Named {
    pub(crate) method: Py<PyString>,
    pub(crate) target: Py<PyString>,
    pub(crate) id: Py<PyString>,
    pub(crate) input: Py<Input>,
}

struct Keys {
    method: Py<PyString>,
    path_info: Py<PyString>,
    script_name: Py<PyString>,
    query: Py<PyString>,
    protocol: Py<PyString>,
    remote_addr: Py<PyString>,
    remote_port: Py<PyString>,
    request_uri: Py<PyString>,
    raw_uri: Py<PyString>,
    content_type: Py<PyString>,
    content_length: Py<PyString>,
    input: Py<PyString>,
    id: Py<PyString>,
    fields: Vec<Py<PyString>>,
    http10: Py<PyString>,
    http11: Py<PyString>,
    empty: Py<PyString>,
    methods: [(Method, Py<PyString>); 7],
}

static KEYS: PyOnceLock<Keys> = PyOnceLock::new();

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::new(Cache::default());
}

/// Strings made for earlier requests on this thread.
#[derive(Default)]
struct Cache {
    values: Vec<Option<Kept>>,
    names: HashMap<Vec<u8>, Py<PyString>>,
    path: Option<Kept>,
    mount: Option<Kept>,
    address: Option<Kept>,
    ports: Vec<Option<(u16, Py<PyString>)>>,
    key: Vec<u8>,
    decoded: Vec<u8>,
}

struct Kept {
    bytes: Vec<u8>,
    text: Py<PyString>,
}

impl Template {
    /// The constant part for one listener.
    pub(crate) fn new(
        py: Python<'_>,
        origin: &Origin,
        script_name: &str,
        multithread: bool,
        errors: &Bound<'_, PyAny>,
    ) -> PyResult<Template> {
        let dict = PyDict::new(py);
        dict.set_item("wsgi.version", PyTuple::new(py, [1, 0])?)?;
        dict.set_item("wsgi.url_scheme", origin.local.scheme.as_str())?;
        dict.set_item("wsgi.errors", errors)?;
        dict.set_item("wsgi.multithread", PyBool::new(py, multithread))?;
        dict.set_item("wsgi.multiprocess", PyBool::new(py, false))?;
        dict.set_item("wsgi.run_once", PyBool::new(py, false))?;
        dict.set_item("wsgi.input_terminated", PyBool::new(py, true))?;
        dict.set_item("wsgi.file_wrapper", py.get_type::<FileWrapper>())?;
        dict.set_item("GATEWAY_INTERFACE", "CGI/1.1")?;
        dict.set_item(
            "SERVER_SOFTWARE",
            concat!("kirsch/", env!("CARGO_PKG_VERSION")),
        )?;
        dict.set_item("SERVER_NAME", &origin.local.name)?;
        dict.set_item("SERVER_PORT", &origin.local.port)?;
        // What every request sets has its place already: a copy is filled in without growing.
        let keys = KEYS.get_or_init(py, || Keys::new(py));
        dict.set_item(&keys.script_name, latin1(py, script_name.as_bytes()))?;
        for key in [
            &keys.method,
            &keys.request_uri,
            &keys.raw_uri,
            &keys.path_info,
            &keys.query,
            &keys.protocol,
            &keys.remote_addr,
            &keys.remote_port,
            &keys.id,
            &keys.input,
        ] {
            dict.set_item(key, &keys.empty)?;
        }
        Ok(Template {
            dict: dict.unbind(),
            cheroot: None,
        })
    }

    /// The template of a program written for cheroot, which may change what it has.
    pub(crate) fn for_cheroot(self, cheroot: Option<Arc<Told>>) -> Template {
        Template { cheroot, ..self }
    }

    /// The `environ` of one request. Takes the request's body.
    pub(crate) fn environ<'py>(
        &self,
        py: Python<'py>,
        request: &mut Request,
        mount: &str,
    ) -> PyResult<(Bound<'py, PyDict>, Named)> {
        let environ = match &self.cheroot {
            None => self.dict.bind(py).copy()?,
            Some(told) => told.environ(py, &self.dict)?,
        };
        let keys = KEYS.get_or_init(py, || Keys::new(py));
        let body = request.take_body();
        let manner = Manner {
            mount,
            is_cheroots: self.cheroot.is_some(),
        };
        let strings = CACHE
            .with_borrow_mut(|cache| fill(py, &environ, keys, cache, request, &body, manner))?;
        let input = Input::of(py, body, request.take_trailers())?;
        environ.set_item(&keys.input, &input)?;
        if self.cheroot.is_some() {
            add_cheroots(py, &environ, request)?;
        }
        let (method, target, id) = strings;
        Ok((
            environ,
            Named {
                method,
                target,
                id,
                input,
            },
        ))
    }
}

/// What programs written for cheroot find otherwise than others.
fn add_cheroots(py: Python<'_>, environ: &Bound<'_, PyDict>, request: &Request) -> PyResult<()> {
    let path = request.path();
    if path.contains(&b'%') || !path.starts_with(b"/") {
        let mut decoded = Vec::with_capacity(path.len() + 1);
        if !path.starts_with(b"/") {
            decoded.push(b'/');
        }
        decode_path_but_slashes(path, &mut decoded);
        environ.set_item("PATH_INFO", latin1(py, &decoded))?;
    }
    if request.head().body == BodyLength::Chunked {
        // No other coding was let through, so that is all there was.
        environ.set_item("HTTP_TRANSFER_ENCODING", "chunked")?;
    }
    Ok(())
}

/// What a request's part of `environ` depends on beside the request.
#[derive(Clone, Copy)]
struct Manner<'a> {
    mount: &'a str,
    /// Whether the application was written for cheroot.
    is_cheroots: bool,
}

impl Manner<'_> {
    /// What stands between the values of one field that came in several lines.
    fn separator(self) -> &'static [u8] {
        match self.is_cheroots {
            true => b", ",
            false => b",",
        }
    }
}

fn fill<'py>(
    py: Python<'py>,
    environ: &Bound<'py, PyDict>,
    keys: &Keys,
    cache: &mut Cache,
    request: &Request,
    body: &Body,
    manner: Manner<'_>,
) -> PyResult<(Py<PyString>, Py<PyString>, Py<PyString>)> {
    let method = keys.method_of(py, request);
    let target = cache.target(py, request.target());
    environ.set_item(&keys.method, &method)?;
    environ.set_item(&keys.request_uri, &target)?;
    environ.set_item(&keys.raw_uri, &target)?;
    set_path(py, environ, keys, cache, request, &target, manner.mount)?;
    if !request.query().is_empty() {
        environ.set_item(&keys.query, latin1(py, request.query()))?;
    }
    let protocol = match request.version() {
        Version::Http10 => &keys.http10,
        Version::Http11 => &keys.http11,
    };
    environ.set_item(&keys.protocol, protocol)?;
    set_origin(py, environ, keys, cache, request)?;
    if let Some(tls) = &request.origin().tls {
        set_tls(py, environ, tls, manner)?;
    }
    if request.is_forwarded() {
        set_forwarded(environ, request)?;
    }
    let id = cache.id(py, request);
    environ.set_item(&keys.id, &id)?;
    set_fields(py, environ, keys, cache, request, manner.separator())?;
    // The body's own length is the truth where all of it is there: of a chunked body the client said none.
    let len = match request.head().body {
        BodyLength::None => None,
        BodyLength::Known(len) => Some(len),
        BodyLength::Chunked => body.len(),
    };
    if let Some(len) = len {
        environ.set_item(&keys.content_length, cache.number(py, len))?;
    }
    Ok((method.unbind(), target.unbind(), id.unbind()))
}

fn set_path<'py>(
    py: Python<'py>,
    environ: &Bound<'py, PyDict>,
    keys: &Keys,
    cache: &mut Cache,
    request: &Request,
    target: &Bound<'py, PyString>,
    mount: &str,
) -> PyResult<()> {
    if !request.mount().is_empty() || !request.prefix().is_empty() {
        cache.decoded.clear();
        cache.decoded.extend_from_slice(request.prefix());
        decode_path(request.mount(), &mut cache.decoded);
        cache.decoded.extend_from_slice(mount.as_bytes());
        environ.set_item(
            &keys.script_name,
            keep(py, &mut cache.mount, &cache.decoded),
        )?;
    }
    let raw = request.path_below_mount();
    let is_target = raw.len() == request.target().len() && !request.is_rewritten();
    if mount.is_empty() && is_target && !raw.contains(&b'%') {
        return environ.set_item(&keys.path_info, target);
    }
    cache.decoded.clear();
    decode_path(raw, &mut cache.decoded);
    let path = behind_mount(&cache.decoded, mount).unwrap_or(&cache.decoded);
    environ.set_item(&keys.path_info, latin1(py, path))
}

/// Whether the path is the application's to answer: below the mount, or `*`, which lies nowhere.
pub(crate) fn is_below_mount(request: &Request, mount: &str) -> bool {
    if mount.is_empty() || request.path() == b"*" {
        return true;
    }
    let mut decoded = Vec::new();
    decode_path(request.path_below_mount(), &mut decoded);
    behind_mount(&decoded, mount).is_some()
}

/// What PATH_INFO is where SCRIPT_NAME is the mount: together they must be the path (PEP 3333, "environ Variables").
/// Where a route has matched a prefix, both lie behind that.
fn behind_mount<'a>(path: &'a [u8], mount: &str) -> Option<&'a [u8]> {
    path.strip_prefix(mount.as_bytes())
        .filter(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

fn set_origin(
    py: Python<'_>,
    environ: &Bound<'_, PyDict>,
    keys: &Keys,
    cache: &mut Cache,
    request: &Request,
) -> PyResult<()> {
    let address = keep(py, &mut cache.address, request.client_address().as_bytes());
    environ.set_item(&keys.remote_addr, address)?;
    // A unix socket's peer has no port, nor has every client of a proxy, and an empty one would be no number.
    match request.client_port() {
        Some(port) => environ.set_item(&keys.remote_port, cache.port(py, port)),
        None => environ.del_item(&keys.remote_port),
    }
}

/// What is known of a connection over TLS: made once, and copied into each of its requests.
#[cold]
fn set_tls(
    py: Python<'_>,
    environ: &Bound<'_, PyDict>,
    tls: &Secured,
    manner: Manner<'_>,
) -> PyResult<()> {
    let made = tls.kept(|variables| -> PyResult<Py<PyDict>> {
        let dict = PyDict::new(py);
        for (name, value) in variables.iter() {
            let key = PyString::intern(py, name);
            if manner.is_cheroots {
                dict.set_item(key, cheroots_variable(py, name, value)?)?;
            } else {
                // PEP 3333: text whose characters are bytes, here those of UTF-8.
                dict.set_item(key, latin1(py, value.as_bytes()))?;
            }
        }
        Ok(dict.unbind())
    });
    match made {
        Some(Ok(dict)) => environ.update(dict.bind(py).as_mapping()),
        Some(Err(error)) => Err(error.clone_ref(py)),
        None => Ok(()),
    }
}

/// A variable as programs written for cheroot know it.
fn cheroots_variable<'py>(py: Python<'py>, name: &str, value: &str) -> PyResult<Bound<'py, PyAny>> {
    match (name, value.parse::<u16>()) {
        ("SSL_CIPHER_USEKEYSIZE" | "SSL_CIPHER_ALGKEYSIZE", Ok(bits)) => {
            Ok(bits.into_pyobject(py)?.into_any())
        }
        // Export ciphers are none for a generation.
        ("SSL_CIPHER_EXPORT", _) => Ok(latin1(py, b"").into_any()),
        _ => Ok(latin1(py, value.trim_end().as_bytes()).into_any()),
    }
}

/// What trusted proxies say, in place of what the template says of the listener.
#[cold]
fn set_forwarded(environ: &Bound<'_, PyDict>, request: &Request) -> PyResult<()> {
    environ.set_item("SERVER_PORT", request.server_port())?;
    let scheme = request.scheme();
    environ.set_item("wsgi.url_scheme", scheme.as_str())?;
    match scheme {
        Scheme::Http if environ.contains("HTTPS")? => environ.del_item("HTTPS"),
        Scheme::Http => Ok(()),
        Scheme::Https => environ.set_item("HTTPS", "on"),
    }
}

fn set_fields(
    py: Python<'_>,
    environ: &Bound<'_, PyDict>,
    keys: &Keys,
    cache: &mut Cache,
    request: &Request,
    list_separator: &[u8],
) -> PyResult<()> {
    let mut seen = 0_u128;
    for (known, name, value) in request.fields() {
        let Some(idx) = known.index() else {
            if known == FieldName::Other {
                let key = cache.name(py, name);
                add(py, environ, &key, value, list_separator)?;
            }
            // Others could be taken for another field's name, or poison an application's own requests.
            continue;
        };
        match known {
            // The length is set from the body; the coding has been undone.
            FieldName::ContentLength | FieldName::TransferEncoding => continue,
            FieldName::ContentType => {
                let text = cache.value(py, idx, value);
                environ.set_item(&keys.content_type, text)?;
                continue;
            }
            FieldName::Host => {
                let host = request.authority().unwrap_or(value);
                let text = cache.value(py, idx, host);
                environ.set_item(&keys.fields[idx], text)?;
                continue;
            }
            _ => {}
        }
        if seen & (1 << idx) != 0 {
            let separator: &[u8] = if known == FieldName::Cookie {
                b"; "
            } else {
                list_separator
            };
            add(py, environ, keys.fields[idx].bind(py), value, separator)?;
        } else {
            seen |= 1 << idx;
            let text = cache.value(py, idx, value);
            environ.set_item(&keys.fields[idx], text)?;
        }
    }
    // An absolute target names a host too, and so may a proxy.
    let may_differ =
        request.head().form == kirsch_http::TargetForm::Absolute || request.is_forwarded();
    if may_differ
        && request.field(FieldName::Host).is_none()
        && let (Some(idx), Some(host)) = (FieldName::Host.index(), request.authority())
    {
        environ.set_item(&keys.fields[idx], latin1(py, host))?;
    }
    Ok(())
}

/// Sets a field that may have come before: then both values are one list (RFC 9110, 5.3).
fn add(
    py: Python<'_>,
    environ: &Bound<'_, PyDict>,
    key: &Bound<'_, PyString>,
    value: &[u8],
    separator: &[u8],
) -> PyResult<()> {
    let value = latin1(py, value);
    match environ.get_item(key)? {
        None => environ.set_item(key, value),
        Some(before) => {
            let joined = before.add(latin1(py, separator))?.add(value)?;
            environ.set_item(key, joined)
        }
    }
}

/// The string of these bytes: the one kept from last time if they are the same.
fn keep<'py>(py: Python<'py>, kept: &mut Option<Kept>, bytes: &[u8]) -> Bound<'py, PyString> {
    if let Some(kept) = kept
        && kept.bytes == bytes
    {
        return kept.text.bind(py).clone();
    }
    let text = latin1(py, bytes);
    if bytes.len() <= LONGEST_KEPT {
        *kept = Some(Kept {
            bytes: bytes.to_vec(),
            text: text.clone().unbind(),
        });
    }
    text
}

impl Cache {
    fn target<'py>(&mut self, py: Python<'py>, target: &[u8]) -> Bound<'py, PyString> {
        keep(py, &mut self.path, target)
    }

    fn value<'py>(&mut self, py: Python<'py>, idx: usize, value: &[u8]) -> Bound<'py, PyString> {
        if self.values.is_empty() {
            self.values.resize_with(FieldName::COUNT, || None);
        }
        keep(py, &mut self.values[idx], value)
    }

    fn name<'py>(&mut self, py: Python<'py>, name: &[u8]) -> Bound<'py, PyString> {
        if let Some(key) = self.names.get(name) {
            return key.bind(py).clone();
        }
        self.key.clear();
        self.key.extend_from_slice(b"HTTP_");
        self.key.extend(name.iter().map(|byte| {
            if *byte == b'-' {
                b'_'
            } else {
                byte.to_ascii_uppercase()
            }
        }));
        let key = latin1(py, &self.key);
        if name.len() <= LONGEST_NAME && self.names.len() < MOST_NAMES {
            self.names.insert(name.to_vec(), key.clone().unbind());
        }
        key
    }

    fn port<'py>(&mut self, py: Python<'py>, port: u16) -> Bound<'py, PyString> {
        if self.ports.is_empty() {
            self.ports.resize_with(PORTS, || None);
        }
        let place = &mut self.ports[usize::from(port) % PORTS];
        match place {
            Some((kept, text)) if *kept == port => text.bind(py).clone(),
            _ => {
                let text = PyString::new(py, &port.to_string());
                *place = Some((port, text.clone().unbind()));
                text
            }
        }
    }

    fn id<'py>(&mut self, py: Python<'py>, request: &Request) -> Bound<'py, PyString> {
        self.key.clear();
        request.id().write(&mut self.key);
        latin1(py, &self.key)
    }

    fn number<'py>(&self, py: Python<'py>, number: u64) -> Bound<'py, PyString> {
        PyString::new(py, &number.to_string())
    }
}

impl Keys {
    fn new(py: Python<'_>) -> Keys {
        let text = |text: &str| PyString::intern(py, text).unbind();
        let field = |name: &FieldName| {
            let mut key = String::from("HTTP_");
            key.extend(name.as_str().chars().map(|char| {
                if char == '-' {
                    '_'
                } else {
                    char.to_ascii_uppercase()
                }
            }));
            text(&key)
        };
        let method = |method: Method, name: &str| (method, text(name));
        Keys {
            method: text("REQUEST_METHOD"),
            path_info: text("PATH_INFO"),
            script_name: text("SCRIPT_NAME"),
            query: text("QUERY_STRING"),
            protocol: text("SERVER_PROTOCOL"),
            remote_addr: text("REMOTE_ADDR"),
            remote_port: text("REMOTE_PORT"),
            request_uri: text("REQUEST_URI"),
            raw_uri: text("RAW_URI"),
            content_type: text("CONTENT_TYPE"),
            content_length: text("CONTENT_LENGTH"),
            input: text("wsgi.input"),
            id: text("kirsch.request_id"),
            fields: FieldName::ALL.iter().map(field).collect(),
            http10: text("HTTP/1.0"),
            http11: text("HTTP/1.1"),
            empty: text(""),
            methods: [
                method(Method::Get, "GET"),
                method(Method::Post, "POST"),
                method(Method::Head, "HEAD"),
                method(Method::Put, "PUT"),
                method(Method::Delete, "DELETE"),
                method(Method::Patch, "PATCH"),
                method(Method::Options, "OPTIONS"),
            ],
        }
    }

    fn method_of<'py>(&self, py: Python<'py>, request: &Request) -> Bound<'py, PyString> {
        let method = request.head().method;
        match self.methods.iter().find(|(known, _)| *known == method) {
            Some((_, name)) => name.bind(py).clone(),
            None => latin1(py, request.method_name()),
        }
    }
}
