//! How an option looks as a keyword argument: its type and its default, as Python writes them.
//!
//! Signatures, stubs and documents are made of this, or checked against it.

use crate::option::OptionSpec;
use crate::value::Kind;

impl OptionSpec {
    /// The annotation of the keyword argument.
    pub fn python_type(&self) -> String {
        let kind = python_type(self.kind);
        let optional = self.can_be_off() || self.default_text() == "none";
        if optional {
            format!("{kind} | None")
        } else {
            kind.to_owned()
        }
    }

    /// The default of the keyword argument, as an expression.
    pub fn python_default(&self) -> String {
        match (self.kind, self.default_text().as_str()) {
            (_, "none" | "off") => "None".to_owned(),
            (Kind::Proxies | Kind::Compressors, _) => "()".to_owned(),
            (Kind::Switch, "true") => "True".to_owned(),
            (Kind::Switch, _) => "False".to_owned(),
            (Kind::Count { .. } | Kind::Mode | Kind::Workers | Kind::UnknownHost, number) => {
                number.to_owned()
            }
            // No default holds a quote or a backslash; a test looks.
            (_, text) => format!("\"{text}\""),
        }
    }
}

/// How a value of this kind is written in Python.
pub(crate) fn python_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Switch => "bool",
        Kind::Count { .. } | Kind::UnknownHost | Kind::Status { .. } => "int",
        Kind::Size { .. } | Kind::Mode | Kind::Workers => "int | str",
        Kind::Duration { .. } => "float | str",
        Kind::Binds => "str | int | Sequence[str | int]",
        Kind::AccessLogFormat => "str | bool",
        Kind::Text
        | Kind::Path
        | Kind::Folder
        | Kind::LogFile
        | Kind::LogLevel
        | Kind::ProxyFields
        | Kind::Prefix
        | Kind::TlsVersion
        | Kind::ClientCertificates
        | Kind::UnknownName
        | Kind::Secret
        | Kind::App
        | Kind::RoutePath
        | Kind::Scheme
        | Kind::AppName
        | Kind::Redirect
        | Kind::FileName => "str",
        Kind::Apps
        | Kind::StaticFolders
        | Kind::Hosts
        | Kind::RoutePaths
        | Kind::Methods
        | Kind::FieldNames
        | Kind::Variables
        | Kind::Networks
        | Kind::Proxies
        | Kind::Compressors
        | Kind::MediaTypes
        | Kind::Folders
        | Kind::Paths
        | Kind::CipherSuites
        | Kind::FileNames => "str | Sequence[str]",
        Kind::Codings => "str | Sequence[str] | bool",
        Kind::Fields | Kind::CacheRules => "Mapping[str, str]",
    }
}

#[cfg(test)]
mod tests {
    use crate::options::options;

    fn signature(name: &str) -> String {
        let option = options()
            .iter()
            .find(|option| option.name == name)
            .expect("a known option");
        let keyword = option.keyword().expect("an option with a keyword");
        format!(
            "{keyword}: {} = {}",
            option.python_type(),
            option.python_default()
        )
    }

    #[test]
    fn keyword_arguments_have_types_and_defaults() {
        let cases = [
            ("threads", "threads: int = 10"),
            ("limit-head", "limit_head: int | str = \"32KiB\""),
            (
                "timeout-request",
                "timeout_request: float | str | None = None",
            ),
            ("request-id", "request_id: bool = True"),
            ("server-name", "server_name: str | None = \"kirsch\""),
            ("spool-dir", "spool_dir: str | None = None"),
            ("unix-socket-mode", "unix_socket_mode: int | str = 0o666"),
            ("access-log", "access_log: str | bool | None = None"),
        ];
        for (name, expected) in cases {
            assert_eq!(signature(name), expected);
        }
    }

    #[test]
    fn no_default_needs_escaping() {
        assert!(
            options()
                .iter()
                .all(|option| !option.default_text().contains(['"', '\\']))
        );
    }
}
