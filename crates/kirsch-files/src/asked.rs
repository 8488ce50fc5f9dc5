//! What a request for a file asks for beside the path, gathered in one pass over its fields.

use std::borrow::Cow;

use kirsch_http::{AcceptEncoding, ByteRange, FieldName, Method, Preconditions, Verdict, Wanted};
use kirsch_server::Request;

use crate::representation::Sendable;

/// The fields that matter.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    method: Method,
    accept_encoding: Cow<'a, [u8]>,
    /// `None` if there is none, or several of them.
    range: Option<&'a [u8]>,
    /// `None` if no precondition was seen; most requests have none.
    preconditions: Option<Preconditions<'a>>,
}

/// What is to be sent of a representation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Whole,
    Part(ByteRange),
    Parts(Vec<ByteRange>),
    /// 304.
    NotModified,
    /// 412.
    Failed,
    /// 416.
    Unsatisfiable,
}

impl<'a> Asked<'a> {
    pub(crate) fn of(request: &'a Request) -> Asked<'a> {
        let mut asked = Asked {
            method: request.head().method,
            accept_encoding: Cow::Borrowed(b""),
            range: None,
            preconditions: None,
        };
        let mut ranges = 0;
        for (name, _, value) in request.fields() {
            match name {
                FieldName::AcceptEncoding if asked.accept_encoding.is_empty() => {
                    asked.accept_encoding = Cow::Borrowed(value);
                }
                FieldName::AcceptEncoding => {
                    asked.accept_encoding.to_mut().push(b',');
                    asked.accept_encoding.to_mut().extend_from_slice(value);
                }
                FieldName::Range => {
                    ranges += 1;
                    asked.range = (ranges == 1).then_some(value);
                }
                FieldName::IfMatch
                | FieldName::IfNoneMatch
                | FieldName::IfModifiedSince
                | FieldName::IfUnmodifiedSince
                | FieldName::IfRange => {
                    asked.preconditions.get_or_insert_default().add(name, value);
                }
                _ => {}
            }
        }
        asked
    }

    pub(crate) fn accepts(&self) -> AcceptEncoding<'_> {
        AcceptEncoding::of(&self.accept_encoding)
    }

    /// Decides in the order of RFC 9110 section 13.2.2.
    pub(crate) fn answer(&self, sendable: &impl Sendable) -> Answer {
        let validators = sendable.validators();
        if let Some(preconditions) = &self.preconditions {
            match preconditions.evaluate(self.method, &validators) {
                Verdict::Proceed => {}
                Verdict::NotModified => return Answer::NotModified,
                Verdict::Failed => return Answer::Failed,
            }
        }
        // Ranges are defined for GET alone (section 14.2).
        let Some(range) = self.range.filter(|_| self.method == Method::Get) else {
            return Answer::Whole;
        };
        if let Some(preconditions) = &self.preconditions
            && !preconditions.range_applies(&validators)
        {
            return Answer::Whole;
        }
        match Wanted::read(range, sendable.content().len()) {
            Wanted::Whole => Answer::Whole,
            Wanted::Part(range) => Answer::Part(range),
            Wanted::Parts(ranges) => Answer::Parts(ranges),
            Wanted::Unsatisfiable => Answer::Unsatisfiable,
        }
    }
}
