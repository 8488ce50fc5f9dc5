//! Distinguished names as text: whole, as RFC 2253 and mod_ssl write them, and in parts.
//!
//! The text is UTF-8 without control characters, whatever a stranger has put into the certificate: NUL and
//! newline become `\00` and `\0A`. For `environ` its bytes are to be read as latin-1 (PEP 3333), which is what
//! mod_wsgi gives too.

use std::fmt::Write;

use x509_parser::der_parser::asn1_rs::{Any, Tag, ToDer};
use x509_parser::prelude::{AttributeTypeAndValue, X509Name};

/// The types of attributes that have names: OID, OpenSSL's short name, mod_ssl's suffix where it has one.
const TYPES: [(&str, &str, Option<&str>); 18] = [
    ("2.5.4.3", "CN", Some("CN")),
    ("2.5.4.4", "SN", Some("S")),
    ("2.5.4.5", "serialNumber", None),
    ("2.5.4.6", "C", Some("C")),
    ("2.5.4.7", "L", Some("L")),
    ("2.5.4.8", "ST", Some("ST")),
    ("2.5.4.9", "street", None),
    ("2.5.4.10", "O", Some("O")),
    ("2.5.4.11", "OU", Some("OU")),
    ("2.5.4.12", "title", Some("T")),
    ("2.5.4.13", "description", Some("D")),
    ("2.5.4.15", "businessCategory", None),
    ("2.5.4.17", "postalCode", None),
    ("2.5.4.42", "GN", Some("G")),
    ("2.5.4.43", "initials", Some("I")),
    ("0.9.2342.19200300.100.1.1", "UID", Some("UID")),
    ("0.9.2342.19200300.100.1.25", "DC", None),
    ("1.2.840.113549.1.9.1", "emailAddress", Some("Email")),
];

/// The whole name in the order of RFC 2253, the last part first: `CN=Ann,O=Example,C=CH`.
pub fn whole(name: &X509Name<'_>) -> String {
    let mut sets: Vec<String> = name
        .iter_rdn()
        .map(|set| {
            // Within a set, OpenSSL turns the order around too.
            let mut parts: Vec<String> = set.iter().map(assignment).collect();
            parts.reverse();
            parts.join("+")
        })
        .collect();
    sets.reverse();
    sets.join(",")
}

/// The parts that mod_ssl has variables for, in the certificate's order: suffix and value.
pub fn parts(name: &X509Name<'_>) -> Vec<(&'static str, String)> {
    name.iter_attributes()
        .filter_map(|attribute| {
            let oid = attribute.attr_type().to_id_string();
            let (_, _, suffix) = TYPES.iter().find(|(known, _, _)| *known == oid)?;
            Some(((*suffix)?, without_controls(&text(attribute.attr_value())?)))
        })
        .collect()
}

/// The text with control characters as their bytes in hexadecimal.
pub(crate) fn without_controls(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        push(&mut safe, letter);
    }
    safe
}

fn assignment(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let short = TYPES
        .iter()
        .find(|(known, _, _)| *known == oid)
        .map(|(_, short, _)| *short);
    match (short, text(attribute.attr_value())) {
        (Some(short), Some(value)) => format!("{short}={}", escaped(&value)),
        // RFC 2253, section 2.4: what is no string, or of an unknown type, is given as it is encoded.
        (short, _) => format!(
            "{}=#{}",
            short.unwrap_or(&oid),
            hexadecimal(&attribute.attr_value().to_der_vec().unwrap_or_default())
        ),
    }
}

/// Escaped as RFC 2253, section 2.4, wants it.
fn escaped(value: &str) -> String {
    let mut safe = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (place, letter) in value.chars().enumerate() {
        let must = match letter {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => true,
            '#' => place == 0,
            ' ' => place == 0 || place == last,
            _ => false,
        };
        if must {
            safe.push('\\');
        }
        push(&mut safe, letter);
    }
    safe
}

fn push(safe: &mut String, letter: char) {
    // U+0080 to U+009F are controls too, and would be found as such behind a reading as latin-1.
    if !letter.is_control() {
        safe.push(letter);
        return;
    }
    for byte in letter.encode_utf8(&mut [0; 4]).bytes() {
        // Writing to a string does not fail.
        let _ = write!(safe, "\\{byte:02X}");
    }
}

/// The text of a value; `None` where it is none.
///
/// Bytes that are no UTF-8 in what says that it is, are taken for latin-1, so that nothing is lost.
fn text(value: &Any<'_>) -> Option<String> {
    let bytes = value.data;
    let latin1 = || bytes.iter().copied().map(char::from).collect();
    match value.tag() {
        Tag::Utf8String => Some(String::from_utf8(bytes.to_vec()).unwrap_or_else(|_| latin1())),
        Tag::PrintableString
        | Tag::Ia5String
        | Tag::T61String
        | Tag::VisibleString
        | Tag::NumericString => Some(latin1()),
        Tag::BmpString => {
            let units = bytes.chunks(2).map(|pair| number(pair) as u16);
            Some(
                char::decode_utf16(units)
                    .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect(),
            )
        }
        Tag::UniversalString => Some(
            bytes
                .chunks(4)
                .map(|four| char::from_u32(number(four)).unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect(),
        ),
        _ => None,
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
