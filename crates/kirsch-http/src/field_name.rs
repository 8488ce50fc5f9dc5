//! The names of the usual request fields, as small numbers.
//!
//! A gateway that turns names into something else (environ keys) prepares an array once and
//! indexes it by [`FieldName::index`], instead of building each key anew for each request.

/// Declares the names: one line each, in any order.
macro_rules! field_names {
    ($($variant:ident $text:literal,)*) => {
        /// A field name, recognised without regard to case.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum FieldName {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
            /// A legal name that must not reach an application: it holds an underscore, which CGI
            /// keys cannot tell from a hyphen (CVE-2015-0219, CVE-2024-45614), or it is `Proxy`,
            /// whose key many HTTP clients obey (CVE-2016-1000111).
            Dropped,
            /// Any other name; its text is in [`Field::name`](crate::Field::name).
            Other,
        }

        impl FieldName {
            /// Every name that has a text, in the order of [`FieldName::index`].
            pub const ALL: [FieldName; FieldName::COUNT] = [$(FieldName::$variant,)*];

            /// How many names have a text.
            pub const COUNT: usize = [$($text,)*].len();

            /// The usual spelling; empty for [`FieldName::Other`] and [`FieldName::Dropped`].
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(FieldName::$variant => $text,)*
                    FieldName::Dropped | FieldName::Other => "",
                }
            }
        }
    };
}

field_names! {
    Host "Host",
    UserAgent "User-Agent",
    Accept "Accept",
    AcceptCharset "Accept-Charset",
    AcceptEncoding "Accept-Encoding",
    AcceptLanguage "Accept-Language",
    AccessControlRequestHeaders "Access-Control-Request-Headers",
    AccessControlRequestMethod "Access-Control-Request-Method",
    Authorization "Authorization",
    CacheControl "Cache-Control",
    Connection "Connection",
    ContentDisposition "Content-Disposition",
    ContentEncoding "Content-Encoding",
    ContentLanguage "Content-Language",
    ContentLength "Content-Length",
    ContentLocation "Content-Location",
    ContentRange "Content-Range",
    ContentType "Content-Type",
    Cookie "Cookie",
    Date "Date",
    Dnt "DNT",
    Expect "Expect",
    Forwarded "Forwarded",
    From "From",
    Http2Settings "HTTP2-Settings",
    IfMatch "If-Match",
    IfModifiedSince "If-Modified-Since",
    IfNoneMatch "If-None-Match",
    IfRange "If-Range",
    IfUnmodifiedSince "If-Unmodified-Since",
    KeepAlive "Keep-Alive",
    LastEventId "Last-Event-ID",
    MaxForwards "Max-Forwards",
    Origin "Origin",
    Pragma "Pragma",
    Prefer "Prefer",
    Priority "Priority",
    ProxyAuthorization "Proxy-Authorization",
    ProxyConnection "Proxy-Connection",
    Range "Range",
    Referer "Referer",
    SaveData "Save-Data",
    SecChUa "Sec-CH-UA",
    SecChUaMobile "Sec-CH-UA-Mobile",
    SecChUaPlatform "Sec-CH-UA-Platform",
    SecFetchDest "Sec-Fetch-Dest",
    SecFetchMode "Sec-Fetch-Mode",
    SecFetchSite "Sec-Fetch-Site",
    SecFetchUser "Sec-Fetch-User",
    SecGpc "Sec-GPC",
    SecPurpose "Sec-Purpose",
    Te "TE",
    Traceparent "Traceparent",
    Tracestate "Tracestate",
    Trailer "Trailer",
    TransferEncoding "Transfer-Encoding",
    Upgrade "Upgrade",
    UpgradeInsecureRequests "Upgrade-Insecure-Requests",
    Via "Via",
    XCsrfToken "X-CSRF-Token",
    XForwardedFor "X-Forwarded-For",
    XForwardedHost "X-Forwarded-Host",
    XForwardedPort "X-Forwarded-Port",
    XForwardedPrefix "X-Forwarded-Prefix",
    XForwardedProto "X-Forwarded-Proto",
    XRealIp "X-Real-IP",
    XRequestId "X-Request-ID",
    XRequestedWith "X-Requested-With",
}

impl FieldName {
    /// The id of a field name as it stands on the wire.
    #[inline]
    pub fn from_bytes(name: &[u8]) -> FieldName {
        let (Some(&[from, to]), [first, .., last]) =
            (LENGTH_STARTS.get(name.len()..name.len() + 2), name)
        else {
            return without_text(name);
        };
        // Length and outer letters leave one candidate, mostly, and most clients write it our way.
        let ends = (first.to_ascii_lowercase(), last.to_ascii_lowercase());
        BY_LENGTH[from as usize..to as usize]
            .iter()
            .find(|known| {
                known.ends == ends && (known.text == name || known.text.eq_ignore_ascii_case(name))
            })
            .map_or_else(|| without_text(name), |known| known.name)
    }

    /// The position in [`FieldName::ALL`]; `None` for [`FieldName::Other`] and [`FieldName::Dropped`].
    #[inline]
    pub fn index(self) -> Option<usize> {
        let idx = self as usize;
        (idx < FieldName::COUNT).then_some(idx)
    }
}

fn without_text(name: &[u8]) -> FieldName {
    if name.eq_ignore_ascii_case(b"Proxy") || memchr::memchr(b'_', name).is_some() {
        FieldName::Dropped
    } else {
        FieldName::Other
    }
}

/// A name as the look-up wants it.
#[derive(Clone, Copy)]
struct Known {
    /// First and last byte, in lower case.
    ends: (u8, u8),
    name: FieldName,
    text: &'static [u8],
}

/// One more than the longest name.
const LENGTHS: usize = 32;

/// The names, short ones first: a name is compared only with those of its own length.
static BY_LENGTH: [Known; FieldName::COUNT] = sorted_by_length().0;

/// Where in [`BY_LENGTH`] the names of each length begin; the next entry is where they end.
static LENGTH_STARTS: [u8; LENGTHS + 1] = sorted_by_length().1;

const fn sorted_by_length() -> ([Known; FieldName::COUNT], [u8; LENGTHS + 1]) {
    let mut sorted = [known(FieldName::Host); FieldName::COUNT];
    let mut starts = [0; LENGTHS + 1];
    let (mut filled, mut len) = (0, 0);
    while len < LENGTHS {
        starts[len] = filled as u8;
        let mut idx = 0;
        while idx < FieldName::COUNT {
            if FieldName::ALL[idx].as_str().len() == len {
                sorted[filled] = known(FieldName::ALL[idx]);
                filled += 1;
            }
            idx += 1;
        }
        len += 1;
    }
    assert!(
        filled == FieldName::COUNT,
        "a name is longer than LENGTHS - 1"
    );
    starts[LENGTHS] = filled as u8;
    (sorted, starts)
}

const fn known(name: FieldName) -> Known {
    let text = name.as_str().as_bytes();
    let ends = (
        text[0].to_ascii_lowercase(),
        text[text.len() - 1].to_ascii_lowercase(),
    );
    Known { ends, name, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_recognised_in_any_case() {
        for (idx, name) in FieldName::ALL.into_iter().enumerate() {
            assert_eq!(name.index(), Some(idx));
            assert_eq!(FieldName::from_bytes(name.as_str().as_bytes()), name);
            assert_eq!(
                FieldName::from_bytes(name.as_str().to_uppercase().as_bytes()),
                name
            );
            assert_eq!(
                FieldName::from_bytes(name.as_str().to_lowercase().as_bytes()),
                name
            );
        }
    }

    #[test]
    fn unknown_names_are_other_and_dangerous_ones_dropped() {
        for name in [
            &b""[..],
            b"X-A",
            b"Hosts",
            b"Hos",
            b"X-Very-Long-Name-That-Nobody-Has-In-Any-Table",
        ] {
            assert_eq!(FieldName::from_bytes(name), FieldName::Other);
        }
        for name in [
            &b"Proxy"[..],
            b"pRoXy",
            b"X_Real_IP",
            b"Content_Length",
            b"_",
        ] {
            assert_eq!(FieldName::from_bytes(name), FieldName::Dropped);
        }
        assert_eq!(FieldName::Other.index(), None);
        assert_eq!(FieldName::Dropped.as_str(), "");
    }
}
