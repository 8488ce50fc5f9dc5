//! The meta-variables of a request (RFC 3875 section 4.1): all that a script is told beside its body.
//!
//! Nothing of the server's own environment is among them, but `PATH` and what the operator names.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use kirsch_server::{FieldName, Request, Scheme, Version};

use crate::place::Found;

/// Where programs are if the server does not know; as login shells have it.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// One request to one script.
pub(crate) struct Call<'a> {
    pub(crate) request: &'a Request,
    pub(crate) found: &'a Found,
    /// The part of the path before the script's.
    pub(crate) mount: &'a [u8],
    /// The file that `PATH_INFO` would name.
    pub(crate) translated: Option<PathBuf>,
    /// The request's own, or those of a local redirect.
    pub(crate) method: &'a [u8],
    pub(crate) query: &'a [u8],
    /// Bytes of the body, if there is one.
    pub(crate) content: Option<u64>,
    /// Whether `Authorization` is passed on.
    pub(crate) authorization: bool,
}

/// Fields that are no business of a script's: they are meta-variables of their own, or about the connection. Section 4.1.18
/// asks that credentials be kept back, as whoever may look at a process may read its environment.
fn is_kept_back(name: FieldName, authorization: bool) -> bool {
    match name {
        FieldName::ContentLength
        | FieldName::ContentType
        | FieldName::TransferEncoding
        | FieldName::Connection
        | FieldName::KeepAlive
        | FieldName::Te
        | FieldName::Trailer
        | FieldName::Upgrade
        | FieldName::Expect
        | FieldName::ProxyAuthorization
        | FieldName::ProxyConnection
        // An underscore, or `Proxy`: two fields, or a field and a setting of the script's, would be one variable.
        | FieldName::Dropped => true,
        FieldName::Authorization => !authorization,
        _ => false,
    }
}

impl Call<'_> {
    /// The whole environment of the script.
    pub(crate) fn environment(&self, passed: &[String]) -> BTreeMap<OsString, OsString> {
        let mut all = BTreeMap::new();
        for name in passed.iter().map(OsString::from) {
            if let Some(value) = env::var_os(&name) {
                all.insert(name, value);
            }
        }
        let path = env::var_os("PATH").unwrap_or_else(|| PATH.into());
        all.insert("PATH".into(), path);
        self.fields(&mut all);
        // Last, so that no field can stand for one of these.
        self.own(&mut all);
        all
    }

    fn own(&self, all: &mut BTreeMap<OsString, OsString>) {
        let request = self.request;
        let mut set = |name: &str, value: &[u8]| {
            all.insert(name.into(), OsStr::from_bytes(value).to_owned());
        };
        let protocol: &[u8] = match request.version() {
            Version::Http10 => b"HTTP/1.0",
            Version::Http11 => b"HTTP/1.1",
        };
        let script_name = [request.prefix(), self.mount, &self.found.name].concat();
        set("GATEWAY_INTERFACE", b"CGI/1.1");
        set(
            "SERVER_SOFTWARE",
            concat!("kirsch/", env!("CARGO_PKG_VERSION")).as_bytes(),
        );
        set("SERVER_PROTOCOL", protocol);
        set("SERVER_NAME", self.server_name());
        set("SERVER_PORT", request.server_port().as_bytes());
        set("REQUEST_METHOD", self.method);
        set("SCRIPT_NAME", &script_name);
        set("PATH_INFO", &self.found.info);
        set("QUERY_STRING", self.query);
        set("REMOTE_ADDR", request.client_address().as_bytes());
        // Section 4.1.9: the address, where the name is not looked up.
        set("REMOTE_HOST", request.client_address().as_bytes());
        // Not in the RFC, and expected by many: php-cgi runs nothing without REDIRECT_STATUS.
        set("REQUEST_URI", request.target());
        set("SCRIPT_FILENAME", self.found.file.as_os_str().as_bytes());
        set("REDIRECT_STATUS", b"200");
        set("REQUEST_ID", request.id().to_text().as_bytes());
        if let Some(authority) = request.authority() {
            // As a trusted proxy says, where there is one.
            set("HTTP_HOST", authority);
        }
        if request.scheme() == Scheme::Https {
            set("HTTPS", b"on");
        }
        if let Some(port) = request.client_port() {
            set("REMOTE_PORT", port.to_string().as_bytes());
        }
        if let Some(translated) = &self.translated {
            set("PATH_TRANSLATED", translated.as_os_str().as_bytes());
        }
        if let Some(bytes) = self.content {
            set("CONTENT_LENGTH", bytes.to_string().as_bytes());
            if let Some(kind) = request.field(FieldName::ContentType) {
                set("CONTENT_TYPE", kind);
            }
        }
    }

    /// The host that was asked for, or the listener's name (section 4.1.14).
    fn server_name(&self) -> &[u8] {
        let listener = self.request.origin().local.name.as_bytes();
        let Some(authority) = self.request.authority() else {
            return listener;
        };
        // What follows the last colon is the port, unless that colon is one of an IPv6 address.
        let colon = memchr::memrchr(b':', authority).filter(|_| !authority.ends_with(b"]"));
        match &authority[..colon.unwrap_or(authority.len())] {
            b"" => listener,
            host => host,
        }
    }

    /// Section 4.1.18: `HTTP_` and the name; several fields of one name are one list.
    fn fields(&self, all: &mut BTreeMap<OsString, OsString>) {
        for (known, name, value) in self.request.fields() {
            if is_kept_back(known, self.authorization) {
                continue;
            }
            let variable: Vec<u8> = b"HTTP_"
                .iter()
                .copied()
                .chain(name.iter().map(|byte| match byte {
                    b'-' => b'_',
                    other => other.to_ascii_uppercase(),
                }))
                .collect();
            let separator = if known == FieldName::Cookie {
                "; "
            } else {
                ", "
            };
            all.entry(OsString::from_vec(variable))
                .and_modify(|before| {
                    before.push(separator);
                    before.push(OsStr::from_bytes(value));
                })
                .or_insert_with(|| OsStr::from_bytes(value).to_owned());
        }
    }
}
