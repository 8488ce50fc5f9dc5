//! Each option of the list, in each place it can be given in.

mod common;

use common::Folder;
use kirsch_config::{ConfigError, KeywordValue, Kind, OptionSpec, Settings, options};

#[test]
fn each_option_is_reached_by_its_flag() {
    let folder = Folder::new();
    for option in available().filter(|option| option.has_flag()) {
        let mut args = flag(option, option.example);
        for (other, value) in needed_by(option) {
            let values = value.split(',');
            args.extend(values.map(|value| format!("--{other}={value}")));
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        reached(option, &folder.settings(&args, &APP));
    }
}

#[test]
fn each_option_is_reached_by_its_variable() {
    let folder = Folder::new();
    for option in available() {
        let variable = option.variable();
        let others = variables_needed_by(option);
        let mut env = vec![APP[0], (variable.as_str(), option.example)];
        env.extend(others.iter().map(|(name, value)| (name.as_str(), *value)));
        reached(option, &folder.settings(&[], &env));
    }
}

#[test]
fn each_option_is_reached_by_its_key() {
    for option in available() {
        let Some(key) = option.key() else { continue };
        let folder = Folder::with("kirsch.toml", &format!("{key} = {:?}\n", option.example));
        let others = variables_needed_by(option);
        let mut env: Vec<(&str, &str)> = Vec::new();
        env.extend(APP.iter().filter(|_| option.kind != Kind::Apps));
        env.extend(others.iter().map(|(name, value)| (name.as_str(), *value)));
        reached(option, &folder.settings(&[], &env));
    }
}

#[test]
fn each_option_is_reached_by_its_keyword() {
    for option in available() {
        let Some(keyword) = option.keyword() else {
            continue;
        };
        let settings = Settings::from_keywords(keywords(option, &keyword));
        reached(option, &settings.expect(option.name));
    }
}

#[test]
fn all_places_understand_an_example_alike() {
    for option in available() {
        let (Some(key), Some(keyword)) = (option.key(), option.keyword()) else {
            continue;
        };
        let folder = Folder::with(
            "kirsch.toml",
            &format!("app = \"m\"\n{key} = {:?}\n", option.example),
        );
        let others = variables_needed_by(option);
        let mut env: Vec<(&str, &str)> = others
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        let by_file = without_folder(&folder.settings(&[], &env), &folder);
        let elsewhere = Folder::new();
        let variable = option.variable();
        env.push((variable.as_str(), option.example));
        let by_variable = without_folder(&elsewhere.settings(&["m"], &env), &elsewhere);
        let by_keyword = Settings::from_keywords(keywords(option, &keyword)).expect(option.name);
        let by_keyword = format!("{:?}", by_keyword.config);
        assert_eq!(by_file, by_variable, "{}", option.name);
        assert_eq!(by_file, by_keyword, "{}", option.name);
    }
}

#[test]
fn a_bad_flag_is_refused_by_name() {
    let folder = Folder::new();
    for option in options() {
        let Some(bad) = bad(option).filter(|_| option.has_flag()) else {
            continue;
        };
        // A switch has no value to get wrong; one that is not there yet is refused as such.
        if option.kind == Kind::Switch && option.available() {
            continue;
        }
        let args = flag(option, bad);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let place = if option.kind == Kind::Apps {
            "application: ".to_owned()
        } else {
            format!("flag {}: ", option.flag())
        };
        named(&folder.refusal(&args, &[]), &place);
    }
}

#[test]
fn a_bad_variable_is_refused_by_name() {
    let folder = Folder::new();
    for option in options() {
        // An empty variable is none.
        let Some(bad) = bad(option).filter(|bad| !bad.is_empty()) else {
            continue;
        };
        let variable = option.variable();
        let message = folder.refusal(&[], &[(variable.as_str(), bad)]);
        named(&message, &format!("variable {variable}: "));
    }
}

#[test]
fn a_bad_key_is_refused_by_its_file_and_line() {
    for option in options() {
        let (Some(key), Some(bad)) = (option.key(), bad(option)) else {
            continue;
        };
        let folder = Folder::with("kirsch.toml", &format!("# a comment\n\n{key} = {bad:?}\n"));
        let place = format!("kirsch.toml:3: {key}: ");
        named(&folder.refusal(&[], &[]), &place);
    }
}

#[test]
fn a_bad_keyword_is_refused_by_name() {
    for option in options() {
        let (Some(keyword), Some(bad)) = (option.keyword(), bad(option)) else {
            continue;
        };
        let given = KeywordValue::Str(bad.to_owned());
        let refused: ConfigError =
            Settings::from_keywords([(keyword.clone(), given)]).expect_err(option.name);
        assert!(
            refused
                .to_string()
                .starts_with(&format!("argument {keyword}: ")),
            "{refused}"
        );
        assert!(refused.hint.is_some(), "{refused}");
    }
}

#[test]
fn a_misspelt_name_is_refused_with_the_one_that_was_meant() {
    for option in options()
        .iter()
        .filter(|option| option.available() && option.has_flag() && option.kind != Kind::Apps)
    {
        let misspelt = |name: &str| format!("{name}x");
        let folder = Folder::new();
        let message = folder.refusal(&[&misspelt(&option.flag()), "m"], &[]);
        assert!(
            message.contains(&format!("did you mean {}", option.flag())),
            "{message}"
        );
        let message = folder.refusal(&["m"], &[(&misspelt(&option.variable()), "1")]);
        assert!(
            message.contains(&format!("did you mean {}?", option.variable())),
            "{message}"
        );
        let Some(key) = option.key() else { continue };
        folder.write("kirsch.toml", &format!("{} = 1\n", misspelt(&key)));
        let message = folder.refusal(&["m"], &[]);
        assert!(
            message.contains(&format!("did you mean {key}?")),
            "{message}"
        );
    }
}

#[test]
fn every_option_is_documented_in_full_sentences() {
    for option in options() {
        for text in [option.doc, option.change, option.default_reason] {
            assert!(text.ends_with('.'), "{}: {text:?}", option.name);
        }
    }
}

const APP: [(&str, &str); 1] = [("KIRSCH_APP", "m")];

fn available() -> impl Iterator<Item = &'static OptionSpec> {
    // Files and folders would have to exist; how they are found has its own tests.
    options().iter().filter(|option| {
        option.available() && !["config", "chdir", "x-sendfile"].contains(&option.name)
    })
}

/// Other options without which this one makes no sense.
fn needed_by(option: &OptionSpec) -> &'static [(&'static str, &'static str)] {
    const PAIR: (&str, &str) = ("tls-cert", "pair.pem");
    match option.name {
        "tls-key" | "tls-key-password" | "tls-key-password-file" | "tls-hsts" => &[PAIR],
        "tls-client-certs" => &[PAIR, ("tls-client-ca", "ca.pem")],
        "tls-client-ca" => &[PAIR, ("tls-client-certs", "required")],
        "tls-client-crl" => &[
            PAIR,
            ("tls-client-certs", "required"),
            ("tls-client-ca", "ca.pem"),
        ],
        "tls-redirect" => &[PAIR, ("bind", "http://127.0.0.1:80,https://127.0.0.1:443")],
        _ => &[],
    }
}

/// The same as variables. What would be repeated as a flag has commas here.
fn variables_needed_by(option: &OptionSpec) -> Vec<(String, &'static str)> {
    let variable = |name: &str| {
        let needed = options().iter().find(|option| option.name == name);
        needed.expect(name).variable()
    };
    let needed = needed_by(option).iter();
    needed
        .map(|(name, value)| (variable(name), *value))
        .collect()
}

/// An option's example as a keyword, with what it needs.
fn keywords(option: &OptionSpec, keyword: &str) -> Vec<(String, KeywordValue)> {
    let text = |value: &str| KeywordValue::Str(value.to_owned());
    let mut all = vec![(keyword.to_owned(), text(option.example))];
    for (name, value) in needed_by(option) {
        let values = KeywordValue::List(value.split(',').map(text).collect());
        let value = if value.contains(',') {
            values
        } else {
            text(value)
        };
        all.push((name.replace('-', "_"), value));
    }
    all
}

/// The configuration, in which paths begin nowhere.
fn without_folder(settings: &Settings, folder: &Folder) -> String {
    let folder = format!("{}/", folder.path().display());
    format!("{:?}", settings.config).replace(&folder, "")
}

/// The arguments that give a value to an option.
fn flag(option: &OptionSpec, value: &str) -> Vec<String> {
    let long = option.flag();
    match option.kind {
        Kind::Apps => vec![value.to_owned()],
        Kind::Switch if value == "false" => vec![format!("--no-{}", option.name)],
        Kind::Switch => vec![long],
        _ => vec![format!("{long}={value}")],
    }
}

/// A text that an option of this kind cannot take.
fn bad(option: &OptionSpec) -> Option<&'static str> {
    match option.kind {
        _ if !option.available() => Some("2"),
        Kind::Switch => Some("maybe"),
        Kind::Count { .. } => Some("0x"),
        Kind::Size { .. } => Some("12 parsecs"),
        Kind::Duration { .. } => Some("soon"),
        Kind::Mode => Some("0o1777"),
        Kind::Text => Some("Süßkirsche"),
        Kind::Path if option.name == "config" => Some("does/not/exist.toml"),
        Kind::Folder | Kind::Folders => Some("does/not/exist"),
        Kind::Path | Kind::Paths | Kind::LogFile | Kind::Secret => Some(""),
        Kind::CipherSuites => Some("RC4-MD5"),
        Kind::TlsVersion => Some("1.1"),
        Kind::ClientCertificates => Some("maybe"),
        Kind::UnknownName => Some("third"),
        Kind::Binds => Some("127.0.0.1:http"),
        Kind::Proxies => Some("10.0.0.1/8"),
        Kind::ProxyFields => Some("all"),
        Kind::Compressors => Some("gzip:10"),
        Kind::MediaTypes => Some("html"),
        Kind::LogLevel => Some("loud"),
        Kind::AccessLogFormat => Some("xml"),
        Kind::Prefix => Some("blog/"),
        Kind::Apps => Some("m:"),
        Kind::StaticFolders => Some("public"),
        Kind::UnknownHost => Some("500"),
        Kind::Workers => None,
        // These are kinds of a table's keys; `tests/routes.rs` gives them bad values.
        Kind::App
        | Kind::Hosts
        | Kind::RoutePath
        | Kind::RoutePaths
        | Kind::Methods
        | Kind::Fields
        | Kind::FieldNames
        | Kind::Variables
        | Kind::Scheme
        | Kind::Networks
        | Kind::AppName
        | Kind::Redirect
        | Kind::FileName
        | Kind::FileNames
        | Kind::CacheRules
        | Kind::Codings
        | Kind::Status { .. } => unreachable!("no option is of this kind"),
    }
}

#[track_caller]
fn reached(option: &OptionSpec, settings: &Settings) {
    assert_ne!(
        option.text(settings),
        option.default_text(),
        "{} keeps its default",
        option.name
    );
    assert_ne!(
        *settings.origin(option.name),
        kirsch_config::Origin::Default,
        "{}",
        option.name
    );
}

#[track_caller]
fn named(message: &str, place: &str) {
    assert!(
        message.starts_with(&format!("kirsch: {place}")),
        "{message} does not begin with {place}"
    );
    assert!(
        message.contains("; "),
        "{message} does not say what to write instead"
    );
}

#[test]
fn no_value_makes_an_option_panic() {
    let texts = [
        "", " ", "-", "-1", "+1", "٣", "1e999", "🍒", ".", "..", ":", "::", "@", "[", "]:", "%",
        "()", "a:()", "\0",
    ];
    let mut values: Vec<KeywordValue> = texts.map(|text| KeywordValue::Str(text.to_owned())).into();
    values.extend([i64::MIN, -1, 0, i64::MAX].map(KeywordValue::Int));
    values
        .extend([f64::NAN, f64::INFINITY, -0.0, 1e300, f64::MIN_POSITIVE].map(KeywordValue::Float));
    values.extend([true, false].map(KeywordValue::Bool));
    values.extend([
        KeywordValue::None,
        KeywordValue::List(vec![]),
        KeywordValue::List(vec![KeywordValue::List(vec![])]),
    ]);
    for option in options() {
        let Some(keyword) = option.keyword() else {
            continue;
        };
        for value in &values {
            // What is refused is refused in words, and what is accepted can be shown.
            match Settings::from_keywords([(keyword.clone(), value.clone())]) {
                Ok(settings) => assert!(!settings.describe().is_empty()),
                Err(error) => assert!(error.hint.is_some(), "{error}"),
            }
        }
    }
}
