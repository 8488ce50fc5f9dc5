//! One option: its names in every place, what it accepts, what it is for.
//!
//! It owns the rules that make a flag, a variable, a key and a keyword of one name.
//! Read next: `options.rs`, the list.

use std::path::Path;

use crate::error::Complaint;
use crate::field::{FieldValue, Reading};
use crate::later::could_be_workers;
use crate::settings::Settings;
use crate::value::{KeywordValue, Kind};

/// Everything that is known about one option.
pub struct OptionSpec {
    /// The name, in words with dashes; every other name is made of it.
    pub name: &'static str,
    /// The short flag, for what is typed daily.
    pub short: Option<char>,
    /// The section of help and reference it stands in.
    pub group: Group,
    /// The places it can be given in.
    pub reach: Reach,
    /// What it accepts.
    pub kind: Kind,
    /// What it is, in one sentence.
    pub doc: &'static str,
    /// When to change it: why the server cannot know this by itself.
    pub change: &'static str,
    /// Why the default is what it is.
    pub default_reason: &'static str,
    /// A value that makes sense, as typed in a flag.
    pub example: &'static str,
    /// The part of the settings it fills.
    pub(crate) field: Field,
}

/// Sections of help and reference, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Which application, and where it lives.
    Application,
    /// Addresses and sockets.
    Listening,
    /// Certificates, and who may come in: the table `[tls]`.
    Tls,
    /// How requests are served.
    Serving,
    /// What is written down.
    Logging,
    /// Sizes and counts: the table `[limits]`.
    Limits,
    /// Durations: the table `[timeouts]`.
    Timeouts,
    /// Known by name, refused in words.
    Later,
}

/// The places an option can be given in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Flag, variable, file and keyword.
    Everywhere,
    /// Flag, variable and file; the Python API has its own way to say it.
    Program,
    /// Flag and variable: it is needed before a file is read.
    Start,
    /// Variable and keyword: others can read command lines, and files get into repositories.
    Secret,
}

/// The part of the settings an option fills.
pub(crate) enum Field {
    /// A field that exists.
    Of {
        set: fn(&mut Settings, &KeywordValue, &Reading<'_>) -> Result<(), Complaint>,
        text: fn(&Settings, Kind) -> String,
        can_be_off: bool,
    },
    /// Nothing yet: the option belongs to a later version, and saying what it already is passes.
    Later {
        passes: fn(&KeywordValue) -> bool,
        what: &'static str,
        hint: &'static str,
    },
}

impl OptionSpec {
    /// The flag, with its dashes; the application has none and is called `APP`.
    pub fn flag(&self) -> String {
        if self.kind == Kind::Apps {
            "APP".to_owned()
        } else {
            format!("--{}", self.name)
        }
    }

    /// The example as it stands on a command line.
    pub(crate) fn typed_example(&self) -> String {
        match (self.kind, self.example) {
            (Kind::Apps, example) => example.to_owned(),
            (Kind::Switch, "false") => format!("--no-{}", self.name),
            (Kind::Switch, _) => self.flag(),
            (Kind::AccessLogFormat, example) => format!("{}={example}", self.flag()),
            (_, example) => format!("{} {example}", self.flag()),
        }
    }

    /// The environment variable.
    pub fn variable(&self) -> String {
        format!("KIRSCH_{}", self.name.replace('-', "_").to_uppercase())
    }

    /// The dotted key in a file, where it has one.
    pub fn key(&self) -> Option<String> {
        let name = self.name.replace('-', "_");
        match (self.reach, self.group) {
            (Reach::Start | Reach::Secret, _) => None,
            (_, Group::Tls) => Some(format!("tls.{}", name.trim_start_matches("tls_"))),
            (_, Group::Limits) => Some(format!("limits.{}", name.trim_start_matches("limit_"))),
            (_, Group::Timeouts) => {
                Some(format!("timeouts.{}", name.trim_start_matches("timeout_")))
            }
            _ => Some(name),
        }
    }

    /// The keyword of the Python API, where it has one.
    pub fn keyword(&self) -> Option<String> {
        matches!(self.reach, Reach::Everywhere | Reach::Secret).then(|| self.name.replace('-', "_"))
    }

    /// The default as it would be typed; `none` where there is no value until one is given.
    pub fn default_text(&self) -> String {
        self.text(&Settings::default())
    }

    /// Whether the value may be absent, which is written `off`, and `None` in Python.
    pub fn can_be_off(&self) -> bool {
        matches!(
            self.field,
            Field::Of {
                can_be_off: true,
                ..
            }
        )
    }

    /// Whether there is a flag.
    pub fn has_flag(&self) -> bool {
        self.reach != Reach::Secret
    }

    /// Whether this version has what the option asks for.
    pub fn available(&self) -> bool {
        matches!(self.field, Field::Of { .. })
    }

    /// Whether a value is right or wrong by itself, wherever it is read. A folder, a host's name and what a later
    /// version will have may be of no use on this machine alone, and another value is given for that reason.
    pub(crate) fn stands_alone(&self) -> bool {
        self.available() && !matches!(self.kind, Kind::Folder | Kind::Folders | Kind::Binds)
    }

    /// What to write, as the end of "write …".
    pub fn accepted(&self) -> String {
        let off = if self.can_be_off() { ", or off" } else { "" };
        format!("{}{off}", self.kind.accepted())
    }

    /// The value in these settings, as it would be typed.
    pub fn text(&self, settings: &Settings) -> String {
        match self.field {
            Field::Of { text, .. } => text(settings, self.kind),
            Field::Later { .. } if self.kind == Kind::Workers => "1".to_owned(),
            Field::Later { .. } if self.kind == Kind::Switch => "false".to_owned(),
            Field::Later { .. } => "none".to_owned(),
        }
    }

    /// Puts a value into the settings; relative paths begin at `base`.
    pub(crate) fn set(
        &self,
        settings: &mut Settings,
        given: &KeywordValue,
        base: &Path,
    ) -> Result<(), Complaint> {
        match self.field {
            Field::Of { set, .. } => {
                let reading = Reading {
                    kind: self.kind,
                    base,
                };
                set(settings, given, &reading).map_err(|complaint| self.with_hint(complaint))
            }
            Field::Later { passes, .. } if passes(given) => Ok(()),
            // What nobody can have is not for a later version either.
            Field::Later { .. } if self.kind == Kind::Workers && !could_be_workers(given) => {
                let message = format!("{given} is not {}", self.kind.accepted());
                Err(Complaint::new(message, "write 1"))
            }
            Field::Later { what, hint, .. } => Err(Complaint::new(
                format!("{what} not available in this version"),
                hint,
            )),
        }
    }

    /// Says what to write instead, where the complaint does not.
    pub(crate) fn with_hint(&self, complaint: Complaint) -> Complaint {
        let hint = || format!("write {}, for instance {}", self.accepted(), self.example);
        Complaint {
            hint: complaint.hint.or_else(|| Some(hint())),
            ..complaint
        }
    }
}

impl Group {
    /// Every group, in order.
    pub const ALL: [Group; 8] = [
        Group::Application,
        Group::Listening,
        Group::Tls,
        Group::Serving,
        Group::Logging,
        Group::Limits,
        Group::Timeouts,
        Group::Later,
    ];

    /// The heading in help and reference.
    pub fn title(self) -> &'static str {
        match self {
            Group::Application => "Application",
            Group::Listening => "Listening",
            Group::Tls => "TLS",
            Group::Serving => "Serving",
            Group::Logging => "Logging",
            Group::Limits => "Limits",
            Group::Timeouts => "Timeouts",
            Group::Later => "Not in this version",
        }
    }
}

/// Whether a type can be off, asked of a function that reaches a field of that type.
pub(crate) const fn can_be_off<T: FieldValue>(_: fn(&Settings) -> &T) -> bool {
    T::CAN_BE_OFF
}
