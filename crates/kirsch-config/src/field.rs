//! How each type of the settings is read from a value as given, and written back as text.
//!
//! It knows types and kinds, not options: which field an option fills stands in `options.rs`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kirsch_server::{
    CipherSuite, CodingError, ContentCoding, MediaRange, MinimumVersion, NetworkError, ProxyFields,
    TrustedPeer, UnknownHost, UnknownName, cipher_suite,
};

use crate::app_spec::AppSpec;
use crate::bind::{Listen, add_listen, listen_text, parse_listen};
use crate::error::Complaint;
use crate::mount::{MountedApp, StaticFolder};
use crate::settings::LogLevel;
use crate::tls::{ClientCertificates, Secret};
use crate::units::{duration_text, parse_duration, parse_size, seconds, size_text};
use crate::value::{KeywordValue, Kind};

/// What a value is read with: what its option accepts, and where relative paths begin.
pub(crate) struct Reading<'a> {
    pub(crate) kind: Kind,
    pub(crate) base: &'a Path,
}

impl Reading<'_> {
    /// The complaint about a value that is of no use to this option.
    pub(crate) fn refuse(&self, given: &KeywordValue) -> Complaint {
        Complaint {
            message: format!("{given} is not {}", self.kind.accepted()),
            hint: None,
        }
    }
}

/// A type that fields of the settings have.
pub(crate) trait FieldValue: Sized {
    /// Whether the value may be absent, which is written `off`.
    const CAN_BE_OFF: bool = false;

    /// Reads the value; a complaint without a hint gets one from its option.
    fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint>;

    /// The value as it would be typed.
    fn text(&self, kind: Kind) -> String;
}

impl FieldValue for bool {
    fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint> {
        let KeywordValue::Str(text) = given else {
            let KeywordValue::Bool(value) = given else {
                return Err(reading.refuse(given));
            };
            return Ok(*value);
        };
        match text.as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err(reading.refuse(given)),
        }
    }

    fn text(&self, _kind: Kind) -> String {
        self.to_string()
    }
}

impl FieldValue for u64 {
    fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint> {
        let (number, min, max) = match reading.kind {
            Kind::Count { min, max } => (count(given), min, max),
            Kind::Size { min, max } => (size(given)?, min, max),
            Kind::Mode => (mode(given), 0, 0o777),
            Kind::Status { min, max } => (count(given), min, max),
            _ => return Err(reading.refuse(given)),
        };
        match number {
            Some(number) if (min..=max).contains(&number) => Ok(number),
            Some(_) if matches!(reading.kind, Kind::Size { .. }) => {
                let (min, max) = (size_text(min), size_text(max));
                let message = format!("{given} is outside {min} to {max}");
                Err(Complaint {
                    message,
                    hint: None,
                })
            }
            Some(_) | None => Err(reading.refuse(given)),
        }
    }

    fn text(&self, kind: Kind) -> String {
        match kind {
            Kind::Size { .. } => size_text(*self),
            Kind::Mode => format!("0o{self:o}"),
            _ => self.to_string(),
        }
    }
}

fn count(given: &KeywordValue) -> Option<u64> {
    match given {
        KeywordValue::Int(number) => u64::try_from(*number).ok(),
        KeywordValue::Str(text) if !text.starts_with('+') => text.trim().parse().ok(),
        _ => None,
    }
}

fn size(given: &KeywordValue) -> Result<Option<u64>, Complaint> {
    match given {
        KeywordValue::Int(number) => Ok(u64::try_from(*number).ok()),
        KeywordValue::Str(text) => parse_size(text).map(Some),
        _ => Ok(None),
    }
}

fn mode(given: &KeywordValue) -> Option<u64> {
    match given {
        KeywordValue::Int(number) => u64::try_from(*number).ok(),
        KeywordValue::Str(text) if !text.contains('+') => {
            u64::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8).ok()
        }
        _ => None,
    }
}

/// Narrower numbers are read as `u64`; the kind's range keeps them within their type.
macro_rules! narrow_number {
    ($($number:ty),+) => {$(
        impl FieldValue for $number {
            fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint> {
                <$number>::try_from(u64::read(given, reading)?).map_err(|_| reading.refuse(given))
            }

            fn text(&self, kind: Kind) -> String {
                (*self as u64).text(kind)
            }
        }
    )+};
}

narrow_number!(u16, u32, usize);

impl FieldValue for Duration {
    fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint> {
        let Kind::Duration { min } = reading.kind else {
            return Err(reading.refuse(given));
        };
        let duration = match given {
            KeywordValue::Int(number) => seconds(*number as f64)?,
            KeywordValue::Float(number) => seconds(*number)?,
            KeywordValue::Str(text) => parse_duration(text)?,
            _ => return Err(reading.refuse(given)),
        };
        if duration < min {
            return Err(Complaint {
                message: format!("{given} is shorter than {}", duration_text(min)),
                hint: None,
            });
        }
        Ok(duration)
    }

    fn text(&self, _kind: Kind) -> String {
        duration_text(*self)
    }
}

impl FieldValue for String {
    fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint> {
        let KeywordValue::Str(text) = given else {
            return Err(reading.refuse(given));
        };
        let fits = match reading.kind {
            Kind::Prefix => {
                let slashes = text.is_empty() || text.starts_with('/') && !text.ends_with('/');
                slashes && !text.chars().any(char::is_control)
            }
            // What goes into a header field must not end its line.
            _ => !text.trim().is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~')),
        };
        if fits {
            Ok(text.clone())
        } else {
            Err(reading.refuse(given))
        }
    }

    fn text(&self, _kind: Kind) -> String {
        self.clone()
    }
}

impl FieldValue for PathBuf {
    fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint> {
        match given {
            KeywordValue::Str(text) if !text.is_empty() && !text.contains('\0') => {
                let path = reading.base.join(text);
                if reading.kind == Kind::Folder && !path.is_dir() {
                    return Err(reading.refuse(given));
                }
                Ok(path)
            }
            _ => Err(reading.refuse(given)),
        }
    }

    fn text(&self, _kind: Kind) -> String {
        self.display().to_string()
    }
}

impl FieldValue for Vec<PathBuf> {
    const CAN_BE_OFF: bool = true;

    fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint> {
        let list = match given {
            KeywordValue::None | KeywordValue::Bool(false) => &[],
            KeywordValue::List(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        if matches!(list, [KeywordValue::Str(off)] if off == "off") {
            return Ok(Vec::new());
        }
        list.iter()
            .map(|item| {
                let path = PathBuf::read(item, reading)?;
                match reading.kind != Kind::Folders || path.is_dir() {
                    true => Ok(path),
                    false => Err(reading.refuse(item)),
                }
            })
            .collect()
    }

    fn text(&self, _kind: Kind) -> String {
        if self.is_empty() {
            return "off".to_owned();
        }
        let paths = self.iter().map(|path| path.display().to_string());
        paths.collect::<Vec<_>>().join(", ")
    }
}

impl FieldValue for LogLevel {
    fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint> {
        let KeywordValue::Str(text) = given else {
            return Err(reading.refuse(given));
        };
        let level = LogLevel::ALL
            .into_iter()
            .find(|level| level.name() == text.to_lowercase());
        level.ok_or_else(|| reading.refuse(given))
    }

    fn text(&self, _kind: Kind) -> String {
        self.name().to_owned()
    }
}

impl FieldValue for AppSpec {
    fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint> {
        let KeywordValue::Str(text) = given else {
            return Err(reading.refuse(given));
        };
        AppSpec::parse(text)
    }

    fn text(&self, _kind: Kind) -> String {
        self.to_string()
    }
}

/// A list as it is, a value alone as a list of one.
pub(crate) fn items(given: &KeywordValue) -> &[KeywordValue] {
    match given {
        KeywordValue::List(list) => list,
        one => std::slice::from_ref(one),
    }
}

impl FieldValue for Vec<Listen> {
    fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint> {
        let mut all = Vec::new();
        for item in items(given) {
            let text = match item {
                KeywordValue::Str(text) => text.clone(),
                KeywordValue::Int(port) => port.to_string(),
                _ => return Err(reading.refuse(item)),
            };
            for listen in parse_listen(&text, reading.base)? {
                add_listen(&mut all, listen)?;
            }
        }
        if all.is_empty() {
            Err(Complaint {
                message: "names no address".to_owned(),
                hint: None,
            })
        } else {
            Ok(all)
        }
    }

    fn text(&self, _kind: Kind) -> String {
        self.iter().map(listen_text).collect::<Vec<_>>().join(", ")
    }
}

impl FieldValue for Vec<String> {
    fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint> {
        let texts: Vec<String> = items(given)
            .iter()
            .map(|item| String::read(item, reading))
            .collect::<Result<_, _>>()?;
        if texts.is_empty() {
            return Err(reading.refuse(given));
        }
        Ok(texts)
    }

    fn text(&self, _kind: Kind) -> String {
        self.join(", ")
    }
}

impl FieldValue for UnknownHost {
    fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint> {
        match count(given) {
            Some(404) => Ok(UnknownHost::NotFound),
            Some(421) => Ok(UnknownHost::Misdirected),
            _ => Err(reading.refuse(given)),
        }
    }

    fn text(&self, _kind: Kind) -> String {
        match self {
            UnknownHost::NotFound => "404".to_owned(),
            UnknownHost::Misdirected => "421".to_owned(),
        }
    }
}

impl FieldValue for Vec<(String, String)> {
    fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint> {
        let KeywordValue::Table(fields) = given else {
            return Err(reading.refuse(given));
        };
        if fields.is_empty() {
            return Err(reading.refuse(given));
        }
        fields
            .iter()
            .map(|(name, value)| match value {
                KeywordValue::Str(_) => Ok((name.clone(), String::read(value, reading)?)),
                KeywordValue::Int(number) => Err(Complaint::new(
                    format!("the value of {name} is a number"),
                    format!("write {name} = \"{number}\""),
                )),
                _ => Err(reading.refuse(value)),
            })
            .collect()
    }

    fn text(&self, _kind: Kind) -> String {
        let fields: Vec<_> = self
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        fields.join(", ")
    }
}

/// Lists of what has a path before it, of which each text of a list or variable is one.
macro_rules! list_of {
    ($($item:ty),+) => {$(
        impl FieldValue for Vec<$item> {
            fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint> {
                let read = |item: &KeywordValue| match item {
                    KeywordValue::Str(text) => <$item>::parse(text, reading.base),
                    _ => Err(reading.refuse(item)),
                };
                let list: Vec<$item> = items(given).iter().map(read).collect::<Result<_, _>>()?;
                if list.is_empty() {
                    return Err(reading.refuse(given));
                }
                Ok(list)
            }

            fn text(&self, _kind: Kind) -> String {
                if self.is_empty() {
                    return "none".to_owned();
                }
                self.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            }
        }
    )+};
}

list_of!(MountedApp, StaticFolder);

impl FieldValue for Vec<TrustedPeer> {
    fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint> {
        let list = items(given);
        // As the default is written.
        if matches!(list, [KeywordValue::Str(nobody)] if nobody == "nobody") {
            return Ok(Vec::new());
        }
        list.iter()
            .map(|item| match item {
                KeywordValue::Str(text) => trusted_peer(text.trim(), reading),
                _ => Err(reading.refuse(item)),
            })
            .collect()
    }

    fn text(&self, _kind: Kind) -> String {
        let text = |peer: &TrustedPeer| match peer {
            TrustedPeer::Network(network) => network.to_string(),
            TrustedPeer::Unix => "unix".to_owned(),
        };
        if self.is_empty() {
            return "nobody".to_owned();
        }
        self.iter().map(text).collect::<Vec<_>>().join(", ")
    }
}

fn trusted_peer(text: &str, reading: &Reading<'_>) -> Result<TrustedPeer, Complaint> {
    if text == "unix" {
        return Ok(TrustedPeer::Unix);
    }
    if text == "*" {
        return Err(Complaint::new(
            "\"*\" would let every client say who it is".to_owned(),
            "write the network of your proxies, or 0.0.0.0/0 and ::/0 where nobody else can connect".to_owned(),
        ));
    }
    match text.parse() {
        Ok(network) => Ok(TrustedPeer::Network(network)),
        Err(NetworkError::Malformed) => Err(reading.refuse(&KeywordValue::Str(text.to_owned()))),
        Err(NetworkError::Within { network, address }) => Err(Complaint::new(
            format!("{text} is an address within a network"),
            format!("write {network} for the network, or {address} for the address"),
        )),
    }
}

impl FieldValue for Vec<ContentCoding> {
    fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint> {
        let texts = texts(given, reading)?;
        // As the default is written.
        if matches!(texts.as_slice(), [nothing] if nothing == "nothing") {
            return Ok(Vec::new());
        }
        let mut codings: Vec<ContentCoding> = Vec::new();
        for text in texts {
            let coding: ContentCoding = text.parse().map_err(|err| match err {
                CodingError::Unknown => reading.refuse(&KeywordValue::Str(text.clone())),
                CodingError::Level(most) => Complaint {
                    message: format!("{text:?} has a level that is not from 1 to {most}"),
                    hint: None,
                },
            })?;
            if codings.iter().any(|other| other.name() == coding.name()) {
                return Err(Complaint::new(
                    format!("{} is named twice", coding.name()),
                    "name each coding once, the preferred one first",
                ));
            }
            codings.push(coding);
        }
        Ok(codings)
    }

    fn text(&self, _kind: Kind) -> String {
        if self.is_empty() {
            return "nothing".to_owned();
        }
        let texts: Vec<_> = self.iter().map(ContentCoding::to_string).collect();
        texts.join(", ")
    }
}

impl FieldValue for Vec<MediaRange> {
    fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint> {
        let parse = |text: String| {
            let refused = KeywordValue::Str(text.clone());
            text.parse().map_err(|_| reading.refuse(&refused))
        };
        let texts = texts(given, reading)?;
        if texts.is_empty() {
            return Err(reading.refuse(given));
        }
        texts.into_iter().map(parse).collect()
    }

    fn text(&self, _kind: Kind) -> String {
        let texts: Vec<_> = self.iter().map(MediaRange::to_string).collect();
        texts.join(", ")
    }
}

/// The texts of a list, of which one may hold several between commas.
fn texts(given: &KeywordValue, reading: &Reading<'_>) -> Result<Vec<String>, Complaint> {
    let mut texts = Vec::new();
    for item in items(given) {
        let KeywordValue::Str(text) = item else {
            return Err(reading.refuse(item));
        };
        texts.extend(text.split(',').map(|text| text.trim().to_owned()));
    }
    Ok(texts)
}

impl FieldValue for ProxyFields {
    fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint> {
        match given {
            KeywordValue::Str(text) => match text.to_lowercase().as_str() {
                "either" => Ok(ProxyFields::Either),
                "x-forwarded" => Ok(ProxyFields::XForwarded),
                "forwarded" => Ok(ProxyFields::Forwarded),
                _ => Err(reading.refuse(given)),
            },
            _ => Err(reading.refuse(given)),
        }
    }

    fn text(&self, _kind: Kind) -> String {
        let name = match self {
            ProxyFields::Either => "either",
            ProxyFields::XForwarded => "x-forwarded",
            ProxyFields::Forwarded => "forwarded",
        };
        name.to_owned()
    }
}

/// Options that are one of a few words.
macro_rules! one_of {
    ($($choice:ty: $($word:literal => $value:expr),+;)+) => {$(
        impl FieldValue for $choice {
            fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint> {
                let word = match given {
                    KeywordValue::Str(text) => text.to_lowercase(),
                    // A version, as it comes without quotes.
                    KeywordValue::Float(number) => number.to_string(),
                    _ => return Err(reading.refuse(given)),
                };
                match word.as_str() {
                    $($word => Ok($value),)+
                    _ => Err(reading.refuse(given)),
                }
            }

            fn text(&self, _kind: Kind) -> String {
                let words = [$(($word, $value)),+];
                let word = words.iter().find(|(_, value)| value == self);
                word.map_or_else(String::new, |(word, _)| (*word).to_owned())
            }
        }
    )+};
}

one_of! {
    MinimumVersion: "1.2" => MinimumVersion::Tls12, "1.3" => MinimumVersion::Tls13;
    UnknownName: "first" => UnknownName::FirstPair, "refuse" => UnknownName::Refuse;
    ClientCertificates:
        "none" => ClientCertificates::None,
        "optional" => ClientCertificates::Optional,
        "required" => ClientCertificates::Required;
}

impl FieldValue for Vec<CipherSuite> {
    const CAN_BE_OFF: bool = true;

    fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint> {
        if matches!(given, KeywordValue::None | KeywordValue::Bool(false)) {
            return Ok(Vec::new());
        }
        let list = items(given);
        if matches!(list, [KeywordValue::Str(off)] if off == "off") {
            return Ok(Vec::new());
        }
        let suite = |item: &KeywordValue| match item {
            KeywordValue::Str(name) => cipher_suite(name.trim()).map_err(|unknown| {
                let hint = format!(
                    "write {}",
                    unknown.nearest.unwrap_or("TLS_AES_256_GCM_SHA384")
                );
                Complaint::new(
                    format!("{name:?} is no cipher suite that is known here"),
                    hint,
                )
            }),
            _ => Err(reading.refuse(item)),
        };
        list.iter().map(suite).collect()
    }

    fn text(&self, _kind: Kind) -> String {
        if self.is_empty() {
            return "off".to_owned();
        }
        let names: Vec<&str> = self.iter().map(|suite| suite.name).collect();
        names.join(", ")
    }
}

impl FieldValue for Option<Secret> {
    fn read(given: &KeywordValue, _: &Reading<'_>) -> Result<Self, Complaint> {
        match given {
            KeywordValue::Str(text) if !text.is_empty() => Ok(Some(Secret(text.clone()))),
            // What was given is not for a message.
            _ => Err(Complaint::new("is no password", "write a text")),
        }
    }

    fn text(&self, _kind: Kind) -> String {
        let text = if self.is_some() {
            "(not shown)"
        } else {
            "none"
        };
        text.to_owned()
    }
}

/// Options that can be off: `off` or false in texts and files, `None` in Python.
macro_rules! can_be_off {
    ($($value:ty),+) => {$(
        impl FieldValue for Option<$value> {
            const CAN_BE_OFF: bool = true;

            fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint> {
                match given {
                    KeywordValue::None | KeywordValue::Bool(false) => Ok(None),
                    KeywordValue::Str(text) if text == "off" => Ok(None),
                    _ => <$value>::read(given, reading).map(Some),
                }
            }

            fn text(&self, kind: Kind) -> String {
                self.as_ref().map_or_else(|| "off".to_owned(), |value| value.text(kind))
            }
        }
    )+};
}

can_be_off!(u64, Duration, String);

/// Options that have no value until one is given, and cannot be taken back to none by a word.
macro_rules! may_be_unset {
    ($($value:ty),+) => {$(
        impl FieldValue for Option<$value> {
            fn read(given: &KeywordValue, reading: &Reading<'_>) -> Result<Self, Complaint> {
                <$value>::read(given, reading).map(Some)
            }

            fn text(&self, kind: Kind) -> String {
                self.as_ref().map_or_else(|| "none".to_owned(), |value| value.text(kind))
            }
        }
    )+};
}

may_be_unset!(PathBuf, AppSpec);
