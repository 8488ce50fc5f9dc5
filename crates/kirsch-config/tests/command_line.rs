//! What a command line, an environment and a file are understood as, together.

mod common;

use common::Folder;
use kirsch_config::{AppTarget, Command, KeywordValue, LogLevel, Origin, Settings};
use kirsch_server::{AccessLog, AccessLogFormat, Bind};

fn tcp(text: &str) -> Bind {
    Bind::Tcp(text.parse().expect("a literal address"))
}

#[test]
fn serve_is_meant_where_no_verb_is_given() {
    let folder = Folder::new();
    assert_eq!(
        folder.kirsch(&["hello:app"], &[]),
        folder.kirsch(&["serve", "hello:app"], &[])
    );
    assert!(matches!(
        folder.kirsch(&["-t", "4", "hello"], &[]),
        Ok(Command::Serve { .. })
    ));
    assert!(matches!(
        folder.kirsch(&["check", "hello"], &[]),
        Ok(Command::Check { .. })
    ));
}

#[test]
fn help_and_version_are_asked_for_and_end_well() {
    let folder = Folder::new();
    for args in [["--help"], ["-h"], ["help"]] {
        let exit = folder.kirsch(&args, &[]).expect_err("nothing to do");
        assert_eq!((exit.code, exit.stderr.as_str()), (0, ""));
        assert!(exit.stdout.contains("--threads <N>"), "{}", exit.stdout);
        assert!(
            !exit.stdout.contains("--workers"),
            "what is refused is not offered"
        );
    }
    let exit = folder
        .kirsch(&["--version"], &[])
        .expect_err("nothing to do");
    assert_eq!(
        exit.stdout,
        format!("kirsch {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn help_comes_even_where_file_and_environment_are_wrong() {
    let folder = Folder::with("kirsch.toml", "this is not TOML");
    let exit = folder
        .kirsch(&["--help"], &[("KIRSCH_NONSENSE", "1")])
        .expect_err("nothing to do");
    assert_eq!(exit.code, 0);
}

#[test]
fn a_flag_wins_over_a_variable_over_the_file_over_the_default() {
    let folder = Folder::with("kirsch.toml", "app = \"m\"\nthreads = 2\n");
    let env = [("KIRSCH_THREADS", "3")];
    assert_eq!(folder.settings(&["-t", "4"], &env).config.threads, 4);
    assert_eq!(folder.settings(&[], &env).config.threads, 3);
    assert_eq!(folder.settings(&[], &[]).config.threads, 2);
    assert_eq!(Folder::new().settings(&["m"], &[]).config.threads, 10);
}

#[test]
fn a_value_that_cannot_be_right_is_refused_though_another_wins() {
    let folder = Folder::with("kirsch.toml", "threads = 3\napp = 5\n");
    let message = folder.refusal(&["m"], &[]);
    assert!(
        message.starts_with("kirsch: kirsch.toml:2: app: 5 is not module:attribute"),
        "{message}"
    );
    let message = Folder::new().refusal(&["-t", "4", "m"], &[("KIRSCH_THREADS", "x")]);
    assert!(
        message.starts_with("kirsch: variable KIRSCH_THREADS: "),
        "{message}"
    );
}

#[test]
fn a_value_that_is_of_no_use_on_this_machine_alone_can_be_replaced() {
    let folder = Folder::with(
        "kirsch.toml",
        "chdir = \"of-the-container\"\nbind = \"no-such-host.invalid:80\"\nworkers = 4\n",
    );
    let path = folder.path().to_str().expect("a name of ours");
    let words = ["m", "--chdir", path, "-b", "8000", "-w", "1"];
    assert_eq!(
        folder.settings(&words, &[]).config.binds,
        [tcp("127.0.0.1:8000")]
    );
}

#[test]
fn an_empty_variable_is_none() {
    let settings = Folder::new().settings(&["m"], &[("KIRSCH_THREADS", ""), ("PORT", "")]);
    assert_eq!(settings.config.threads, 10);
}

#[test]
fn binds_come_from_one_place_only() {
    let folder = Folder::with("kirsch.toml", "bind = [\"@file\"]\n");
    let binds = |args: &[&str], env: &[(&str, &str)]| folder.settings(args, env).config.binds;
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| Bind::Abstract(name.as_bytes().to_vec()))
            .collect::<Vec<_>>()
    };
    let env = [("KIRSCH_BIND", "@one,@two"), ("PORT", "80")];
    assert_eq!(
        binds(&["m", "-b", "@flag", "--bind=@second"], &env),
        names(&["flag", "second"])
    );
    assert_eq!(binds(&["m"], &env), names(&["one", "two"]));
    assert_eq!(binds(&["m"], &env[1..]), names(&["file"]));
}

#[test]
fn port_alone_listens_on_every_address() {
    let folder = Folder::new();
    assert_eq!(
        folder.settings(&["m"], &[("PORT", "8080")]).config.binds,
        [tcp("0.0.0.0:8080")]
    );
    let message = folder.refusal(&["m"], &[("PORT", "http")]);
    assert!(
        message.starts_with("kirsch: variable PORT: \"http\" is not a port"),
        "{message}"
    );
}

#[test]
fn one_worker_is_accepted_and_more_are_refused() {
    let folder = Folder::new();
    folder.settings(&["m", "-w", "1"], &[("WEB_CONCURRENCY", "1")]);
    folder.settings(&["m", "-w", "1"], &[("WEB_CONCURRENCY", "8")]);
    for (args, env) in [
        (["-w", "2"], None),
        (["m", "-t4"], Some(("WEB_CONCURRENCY", "2"))),
    ] {
        let message = folder.refusal(&args, env.as_slice());
        assert!(
            message.contains("worker processes are not available in this version"),
            "{message}"
        );
    }
}

#[test]
fn what_comes_later_is_refused_in_words() {
    let folder = Folder::new();
    let message = folder.refusal(&["m", "--reload"], &[]);
    assert!(
        message.contains("not available in this version"),
        "{message}"
    );
}

#[test]
fn a_verb_in_the_wrong_place_is_pointed_out() {
    let folder = Folder::new();
    for args in [
        ["-t4", "serve", "m"].as_slice(),
        &["-t4", "check"],
        &["-t4", "migrate", "uwsgi.ini"],
    ] {
        let message = folder.refusal(args, &[]);
        assert!(message.contains("comes first"), "{message}");
    }
    for (args, meant) in [
        (["chekc", "m"], "check m"),
        (["migrat", "x.ini"], "migrate x.ini"),
    ] {
        let message = folder.refusal(&args, &[]);
        let hint = format!("did you mean kirsch {meant}?");
        assert!(message.contains(&hint), "{message}");
    }
}

#[test]
fn a_flag_that_is_none_says_what_to_write_instead() {
    let cases: &[(&[&str], &str, &str)] = &[
        (
            &["--port", "80"],
            "flag --port: is not a known flag",
            "did you mean --bind 80?",
        ),
        (
            &["-p", "80"],
            "flag -p: is not a known flag",
            "did you mean --bind",
        ),
        (
            &["--thread", "4"],
            "flag --thread: is not a known flag",
            "did you mean --threads 4?",
        ),
        (
            &["--bnd=unix:socket"],
            "flag --bnd: is not a known flag",
            "did you mean --bind unix:socket?",
        ),
        (
            &["--bnd"],
            "flag --bnd: is not a known flag",
            "did you mean --bind ADDRESS?",
        ),
        (
            &["--request-ids"],
            "flag --request-ids: is not a known flag",
            "did you mean --request-id?",
        ),
        (
            &["--no-request-id=x"],
            "flag --no-request-id: takes no value",
            "write --request-id or --no-request-id alone",
        ),
        (
            &["--access-log", "json"],
            "flag --access-log: takes its format behind",
            "write --access-log=json",
        ),
        (
            &["--threads", "-1"],
            "flag --threads: \"-1\" is not a whole number",
            "write a whole number",
        ),
        (
            &["--timeout-head", "-1s"],
            "flag -1: is not a known flag",
            "write a number without a sign",
        ),
    ];
    for (words, message, hint) in cases {
        let text = Folder::new().refusal(&[&["m"], *words].concat(), &[]);
        assert!(
            text.contains(message) && text.contains(hint),
            "{words:?}: {text}"
        );
    }
    let text = Folder::new().refusal(&["m", "--zebra"], &[]);
    assert_eq!(
        text,
        "kirsch: command line: unexpected argument '--zebra' found; kirsch --help lists the options\n"
    );
}

#[test]
fn help_says_of_a_flag_that_turns_something_off_what_that_is() {
    let folder = Folder::new();
    let help = |args: &[&str]| folder.kirsch(args, &[]).expect_err("help").stdout;
    let text = help(&["--help"]);
    assert!(
        text.contains("Turns off that responses carry the id"),
        "{text}"
    );
    assert!(text.contains("Commands:"), "{text}");
    assert!(!help(&["check", "--help"]).contains("Commands:"));
}

#[test]
fn a_number_of_workers_that_is_none_says_so() {
    let env = |value| [("WEB_CONCURRENCY", value)];
    let folder = Folder::new();
    assert_eq!(
        folder.refusal(&["m"], &env("x")),
        "kirsch: variable WEB_CONCURRENCY: \"x\" is not a whole number, or auto; write 1\n"
    );
    assert!(folder.refusal(&["m"], &env("2")).contains("not available"));
}

#[test]
fn an_empty_list_of_addresses_says_that_it_names_none() {
    let none = KeywordValue::List(Vec::new());
    let error = Settings::from_keywords([("bind".to_owned(), none)]).expect_err("nowhere");
    assert!(
        error
            .to_string()
            .starts_with("argument bind: names no address; write HOST:PORT"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_missing_is_told_in_the_systems_words_alone() {
    let text = Folder::new().refusal(&["m", "--config", "nope.toml"], &[]);
    assert!(
        text.contains("cannot be read (No such file or directory)"),
        "{text}"
    );
}

#[test]
fn what_other_servers_call_otherwise_is_known_in_every_place() {
    let texts = [
        Folder::new().refusal(&["m"], &[("KIRSCH_HOST", "x")]),
        Folder::with("kirsch.toml", "port = 80\n").refusal(&["m"], &[]),
    ];
    assert!(texts[0].contains("did you mean KIRSCH_BIND?"), "{texts:?}");
    assert!(texts[1].contains("did you mean bind?"), "{texts:?}");
}

#[test]
fn no_application_is_an_error_that_shows_how_to_name_one() {
    let message = Folder::new().refusal(&["serve"], &[]);
    assert!(
        message.contains("no application is named") && message.contains("kirsch.toml"),
        "{message}"
    );
}

#[test]
fn a_named_file_is_read_and_paths_in_it_begin_at_its_folder() {
    let folder = Folder::with(
        "other.toml",
        "app = \"shop:make()\"\nspool_dir = \"spool\"\nchdir = \"src\"\n",
    );
    for name in ["spool", "src"] {
        std::fs::create_dir(folder.path().join(name)).expect("a new folder has room");
    }
    let elsewhere = Folder::with("kirsch.toml", "threads = 3");
    let path = folder.path().join("other.toml");
    let settings = elsewhere.settings(&["-c", &path.to_string_lossy()], &[]);
    assert_eq!(settings.config.spool_dir, Some(folder.path().join("spool")));
    assert_eq!(settings.chdir, Some(folder.path().join("src")));
    assert_eq!(
        settings
            .app
            .into_iter()
            .map(|app| app.spec.target)
            .collect::<Vec<_>>(),
        [AppTarget::Factory("make".into())]
    );
    assert_eq!(
        (settings.config.threads, settings.config_file),
        (10, Some(path)),
        "files are not merged"
    );
}

#[test]
fn a_folder_that_is_not_there_is_refused_where_it_was_named() {
    let message =
        Folder::with("kirsch.toml", "threads = 3\nspool_dir = 'nowhere'\n").refusal(&["m"], &[]);
    assert!(
        message.contains("kirsch.toml:2") && message.contains("not a folder that exists"),
        "{message}"
    );
    let message = Folder::with("file", "").refusal(&["m", "--chdir", "file"], &[]);
    assert!(message.contains("flag --chdir"), "{message}");
}

#[test]
fn paths_in_flags_begin_at_the_working_directory() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("spool")).expect("a new folder has room");
    let settings = folder.settings(&["m", "--spool-dir", "spool", "-b", "unix:k.sock"], &[]);
    assert_eq!(settings.config.spool_dir, Some(folder.path().join("spool")));
    assert_eq!(
        settings.config.binds,
        [Bind::Unix(folder.path().join("k.sock"))]
    );
}

#[test]
fn a_projects_file_is_read_where_it_has_our_table_and_no_file_of_our_own_is_there() {
    let folder = Folder::with(
        "pyproject.toml",
        "[project]\nname = \"x\"\n[tool.kirsch]\nthreads = 5\n",
    );
    assert_eq!(folder.settings(&["m"], &[]).config.threads, 5);
    folder.write("kirsch.toml", "backlog = 10\n");
    assert_eq!(folder.settings(&["m"], &[]).config.threads, 10);
    assert_eq!(
        folder
            .settings(&["m", "-c", "pyproject.toml"], &[])
            .config
            .threads,
        5
    );
}

#[test]
fn a_projects_file_without_our_table_is_none_of_ours() {
    let folder = Folder::with("pyproject.toml", "[project]\nname = \"kirsch-shop\"\n");
    assert_eq!(folder.settings(&["m"], &[]).config_file, None);
    let message = folder.refusal(&["m", "-c", "pyproject.toml"], &[]);
    assert!(message.contains("has no table [tool.kirsch]"), "{message}");
}

#[test]
fn in_a_projects_file_our_table_must_be_one() {
    for text in ["[tool]\nkirsch = 3\n", "\n[[tool.kirsch]]\nthreads = 3\n"] {
        let message = Folder::with("pyproject.toml", text).refusal(&["m"], &[]);
        assert!(
            message.starts_with("kirsch: pyproject.toml:2: tool.kirsch: is a table")
                && message.contains("write [tool.kirsch] with its keys below"),
            "{message}"
        );
    }
    let of_another = Folder::with("pyproject.toml", "tool = \"kirsch\"\n");
    assert_eq!(of_another.settings(&["m"], &[]).config_file, None);
}

#[test]
fn a_file_that_is_no_toml_is_refused_with_its_line() {
    let folder = Folder::with("kirsch.toml", "threads = 4\nbacklog 5\n");
    let message = folder.refusal(&["m"], &[]);
    assert!(message.contains("kirsch.toml:2: "), "{message}");
}

#[test]
fn a_key_outside_its_table_is_refused_with_the_right_one() {
    let cases = [
        ("limit_head = 1\n", "limits.head"),
        ("limits.limit_head = 1\n", "limits.head"),
        ("unix-socket-mode = 1\n", "unix_socket_mode"),
        ("[limit]\nhead = 1\n", "did you mean [limits]?"),
        ("config = \"x\"\n", "write it as a flag"),
        (
            "[zebra]\nhead = 1\n",
            "the tables are [limits], [timeouts], [tls], [apps.NAME] and [[routes]]",
        ),
        (
            "[tool.kirsch]\nthreads = 1\n",
            "[tool.kirsch] is for pyproject.toml; in a file of its own write the keys alone",
        ),
        ("limits = 3\n", "limits: is a table"),
    ];
    for (text, meant) in cases {
        let message = Folder::with("kirsch.toml", text).refusal(&["m"], &[]);
        assert!(message.contains(meant), "{text}: {message}");
    }
}

#[test]
fn types_in_a_file_are_understood() {
    let text = "bind = [8000, \"@k\"]\nthreads = 4\nrequest_id = false\nserver_name = false\n\
                unix_socket_mode = 0o600\naccess_log = true\n[limits]\nhead = 65536\n[timeouts]\nrequest = 1.5\n";
    let config = Folder::with("kirsch.toml", text)
        .settings(&["m"], &[])
        .config;
    assert_eq!(
        config.binds,
        [tcp("127.0.0.1:8000"), Bind::Abstract(b"k".to_vec())]
    );
    assert_eq!(
        (config.threads, config.request_id, config.server_name),
        (4, false, None)
    );
    assert_eq!(
        (config.unix_socket_mode, config.limits.head_bytes),
        (0o600, 65536)
    );
    assert_eq!(
        config.timeouts.request.map(|request| request.as_millis()),
        Some(1500)
    );
    assert_eq!(
        config.access_log,
        Some(AccessLog {
            format: AccessLogFormat::Combined,
            file: None
        })
    );
}

#[test]
fn a_file_for_the_access_log_turns_it_on_unless_it_is_off() {
    let folder = Folder::new();
    let log = |args: &[&str]| folder.settings(args, &[]).config.access_log;
    let file = || Some(folder.path().join("a.log"));
    let combined = AccessLogFormat::Combined;
    assert_eq!(
        log(&["m", "--access-log"]),
        Some(AccessLog {
            format: combined.clone(),
            file: None
        })
    );
    assert_eq!(
        log(&["m", "--access-log-file", "a.log"]),
        Some(AccessLog {
            format: combined,
            file: file()
        })
    );
    let json = AccessLog {
        format: AccessLogFormat::Json,
        file: file(),
    };
    assert_eq!(
        log(&["m", "--access-log=json", "--access-log-file", "a.log"]),
        Some(json)
    );
    assert_eq!(
        log(&["m", "--access-log=off", "--access-log-file", "a.log"]),
        None
    );
    let custom = AccessLog {
        format: AccessLogFormat::Custom("%h %r".into()),
        file: None,
    };
    assert_eq!(
        log(&["m", "--access-log=%h %r", "--access-log-file=-"]),
        Some(custom)
    );
}

#[test]
fn the_last_of_a_switch_and_its_negation_wins() {
    let folder = Folder::with("kirsch.toml", "stream_request_body = true\n");
    let settings = folder.settings(
        &[
            "m",
            "--no-stream-request-body",
            "--request-id",
            "--no-request-id",
        ],
        &[],
    );
    assert_eq!(
        (
            settings.config.stream_request_body,
            settings.config.request_id
        ),
        (false, false)
    );
    assert_eq!(
        *settings.origin("request-id"),
        Origin::Flag("--no-request-id".into())
    );
}

#[test]
fn variables_that_orchestrators_set_for_a_service_of_our_name_are_none_of_ours() {
    let env = [
        ("KIRSCH_PORT", "tcp://10.0.0.1:80"),
        ("KIRSCH_SERVICE_HOST", "10.0.0.1"),
        ("KIRSCH_SERVICE_PORT_HTTP", "80"),
        ("KIRSCH_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("KIRSCH_BLOG_PORT", "tcp://10.0.0.1:80"),
        ("KIRSCH_BLOG_SERVICE_HOST", "10.0.0.1"),
        ("KIRSCH_BLOG_SERVICE_PORT", "80"),
        ("KIRSCH_BLOG_SERVICE_PORT_HTTP", "80"),
        ("KIRSCH_BLOG_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("KIRSCH_BLOG_PORT_80_TCP_PROTO", "tcp"),
        ("KIRSCH_BLOG_PORT_53_UDP_PORT", "53"),
    ];
    Folder::new().settings(&["m"], &env);
    for name in ["KIRSCH_BLOG_PORT", "KIRSCH_BLOG_PORT_80", "KIRSCH_SERVICE"] {
        let message = Folder::new().refusal(&["m"], &[(name, "8000")]);
        assert!(message.contains("is not a known variable"), "{message}");
    }
    let message = Folder::new().refusal(&["m"], &[("KIRSCH_PORT", "8000")]);
    assert!(message.contains("write KIRSCH_BIND"), "{message}");
}

#[test]
fn what_belongs_to_the_program_stands_beside_the_config() {
    let settings = Folder::new().settings(
        &["m", "--log-level", "debug", "--script-name", "/blog"],
        &[],
    );
    assert_eq!(
        (settings.log_level, settings.script_name.as_str()),
        (LogLevel::Debug, "/blog")
    );
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_utf8_is_refused() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let odd = || OsString::from_vec(vec![0xff]);
    let cwd = std::env::temp_dir();
    let args = [
        OsString::from("kirsch"),
        OsString::from("m"),
        OsString::from("--chdir"),
        odd(),
    ];
    let by_flag = kirsch_config::from_command_line(args, [], &cwd).expect_err("not UTF-8");
    assert!(
        by_flag
            .stderr
            .starts_with("kirsch: flag --chdir: is not valid UTF-8"),
        "{}",
        by_flag.stderr
    );
    let env = [(OsString::from("KIRSCH_CHDIR"), odd()), (odd(), odd())];
    let args = [OsString::from("kirsch"), OsString::from("m")];
    let by_variable = kirsch_config::from_command_line(args, env, &cwd).expect_err("not UTF-8");
    assert!(
        by_variable
            .stderr
            .starts_with("kirsch: variable KIRSCH_CHDIR: is not valid UTF-8")
    );
}

#[test]
fn folders_for_x_sendfile_are_several_and_have_to_be_there() {
    let folder = Folder::with("kirsch.toml", "x_sendfile = [\"one\", \"two\"]\n");
    for name in ["one", "two"] {
        std::fs::create_dir(folder.path().join(name)).expect("a folder");
    }
    let both = [folder.path().join("one"), folder.path().join("two")];
    assert_eq!(folder.settings(&["m"], &[]).x_sendfile, both);
    let flags = ["m", "--x-sendfile", "two", "--x-sendfile", "one"];
    let [one, two] = both.clone();
    assert_eq!(folder.settings(&flags, &[]).x_sendfile, [two, one]);
    let variable = [("KIRSCH_X_SENDFILE", "one,two")];
    assert_eq!(folder.settings(&["m"], &variable).x_sendfile, both);
    let off = ["m", "--x-sendfile", "off"];
    assert_eq!(
        folder.settings(&off, &[]).x_sendfile,
        [""; 0].map(std::path::PathBuf::from)
    );
    assert!(Folder::new().settings(&["m"], &[]).x_sendfile.is_empty());
    let message = folder.refusal(&["m", "--x-sendfile", "three"], &[]);
    assert!(
        message.starts_with("kirsch: flag --x-sendfile: \"three\" is not a folder that exists"),
        "{message}"
    );
}
