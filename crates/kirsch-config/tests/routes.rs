//! Applications and routes: what a file, a command line and a program say of them, and what is wrong with it.

mod common;

use std::time::Duration;

use common::Folder;
use kirsch_config::{
    Application, ApplicationKind, CgiSpec, Command, Dispatch, KeywordValue, RouteAction, RouteSpec,
    Settings, application_keys, route_keys, settings_page,
};

/// What `kirsch ARGS` would serve.
fn dispatch(folder: &Folder, args: &[&str], env: &[(&str, &str)]) -> Dispatch {
    match folder.kirsch(args, env) {
        Ok(Command::Serve { dispatch, .. } | Command::Check { dispatch, .. }) => dispatch,
        Err(exit) => panic!("kirsch {args:?} with {env:?}: {}", exit.stderr),
    }
}

/// The routes of a file, in a few words.
fn brief(toml: &str) -> String {
    dispatch(&Folder::with("kirsch.toml", toml), &[], &[]).brief()
}

/// What `kirsch check` says of a file.
fn findings(folder: &Folder) -> Vec<String> {
    dispatch(folder, &["check"], &[])
        .findings
        .iter()
        .map(|it| it.error.to_string())
        .collect()
}

const BOTH: &str = "[apps.blog]\nwsgi = \"blog:app\"\n[apps.api]\nwsgi = \"api:create_app()\"\n";

#[test]
fn routes_stand_in_the_order_written_and_lead_to_their_applications() {
    let text = format!(
        "{BOTH}threads = 4\n\n[[routes]]\nhost = [\"B.test\", \"*.b.test\"]\napp = \"blog\"\n\
         [[routes]]\npath = \"/api/v1/\"\nmethod = \"GET\"\nheader = {{ x-beta = \"1\" }}\napp = \"api\"\n\
         [[routes]]\nscheme = \"http\"\nredirect = \"https://{{host}}{{path}}{{query}}\"\nstatus = 301\n\
         [[routes]]\nanswer = 404\n"
    );
    let folder = Folder::with("kirsch.toml", &text);
    let dispatch = dispatch(&folder, &[], &[]);
    assert_eq!(
        dispatch.brief(),
        "b.test,…=blog, some of /api/v1=api, some requests=redirect, answer"
    );
    let led: Vec<_> = dispatch.routes.iter().map(|it| it.application).collect();
    assert_eq!(led, [Some(0), Some(1), None, None]);
    let threads: Vec<_> = dispatch.applications.iter().map(|it| it.threads).collect();
    assert_eq!((threads, dispatch.findings), (vec![None, Some(4)], vec![]));
}

#[test]
fn tables_may_stand_in_a_projects_file_and_in_one_line() {
    let text = "[tool.kirsch]\napps.blog = { wsgi = \"blog:app\" }\nroutes = [{ app = \"blog\", host = \"b.test\" }]\n";
    let folder = Folder::with("pyproject.toml", text);
    assert_eq!(dispatch(&folder, &[], &[]).brief(), "b.test=blog");
}

#[test]
fn an_application_alone_needs_no_router() {
    for args in [["m"].as_slice(), &["/=m"]] {
        assert_eq!(dispatch(&Folder::new(), args, &[]).alone(), Some(""));
    }
    assert_eq!(
        dispatch(&Folder::new(), &["/v1=m"], &[]).alone(),
        Some("/v1")
    );
    for args in [
        ["a.test=m"].as_slice(),
        &["a.test=m", "n"],
        &["m", "--static=/s=s"],
    ] {
        assert_eq!(
            dispatch(&Folder::new(), args, &[]).alone(),
            None,
            "{args:?}"
        );
    }
}

#[test]
fn static_folders_come_first_and_the_application_without_a_place_last() {
    let folder = Folder::with("kirsch.toml", "[[routes]]\npath = \"/old\"\nanswer = 410\n");
    let args = [
        "other:app",
        "b.test=blog:app",
        "b.test/v1=blog:app",
        "--static",
        "/static=public",
    ];
    let dispatch = dispatch(&folder, &args, &[]);
    let public = folder.path().join("public").display().to_string();
    assert_eq!(
        dispatch.brief(),
        format!("/static={public}, /old=answer, b.test=blog:app, b.test/v1=blog:app, other:app")
    );
    let names: Vec<_> = dispatch
        .applications
        .iter()
        .map(|it| it.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["other:app", "blog:app"],
        "what is typed twice is one application"
    );
}

#[test]
fn variables_and_keys_take_several_applications_and_folders_too() {
    let env = [
        ("KIRSCH_APP", "b.test=blog:app,api"),
        ("KIRSCH_STATIC", "/a=x,c.test/b=y"),
    ];
    let folder = Folder::new();
    let by_variable = dispatch(&folder, &[], &env).brief();
    folder.write(
        "kirsch.toml",
        "app = [\"b.test=blog:app\", \"api\"]\nstatic = [\"/a=x\", \"c.test/b=y\"]\n",
    );
    assert_eq!(dispatch(&folder, &[], &[]).brief(), by_variable);
    assert_eq!(
        dispatch(&folder, &["hello"], &[])
            .brief()
            .split(", ")
            .last(),
        Some("hello"),
        "the flag takes the place of the key"
    );
}

#[test]
fn many_routes_are_counted() {
    let routes: String = (0..9)
        .map(|number| format!("[[routes]]\nhost = \"h{number}.test\"\nanswer = 404\n"))
        .collect();
    assert!(brief(&routes).ends_with("h5.test=answer and 3 more routes"));
}

#[test]
fn rules_of_a_folder_keep_the_order_in_which_they_are_written() {
    let text = "[[routes]]\nfiles = \".\"\ncache_control = { \"*.z\" = \"no-store\", \"*.a\" = \"private\", \"**\" = \"public\" }\n";
    let dispatch = dispatch(&Folder::with("kirsch.toml", text), &[], &[]);
    let RouteAction::Files(files) = &dispatch.routes[0].spec.action else {
        panic!("files are served");
    };
    let rules = format!("{:?}", files.cache_rules);
    let places: Vec<_> = ["no-store", "private", "public"]
        .map(|value| rules.find(value))
        .into();
    assert!(places.is_sorted() && places[0].is_some(), "{rules}");
}

#[test]
fn an_internal_route_hides_clients_routes_and_only_other_internal_ones_hide_it() {
    let route = |path: &str, lines: &str| format!("[[routes]]\npath = {path:?}\n{lines}\n");
    let internal = "files = \".\"\ninternal = true";
    let text = [
        route("/", "answer = 200"),
        route("/kept", internal),
        route("/kept/more", internal),
    ]
    .concat();
    let folder = Folder::with("kirsch.toml", &text);
    let [finding] = findings(&folder).try_into().expect("one finding");
    assert!(
        finding.contains("kirsch.toml:8: routes: no request reaches"),
        "{finding}"
    );
    assert!(finding.contains("kirsch.toml:4: routes"), "{finding}");
    let text = [
        route("/kept", internal),
        route("/kept/more", "answer = 200"),
    ]
    .concat();
    let [finding] = findings(&Folder::with("kirsch.toml", &text))
        .try_into()
        .expect("one finding");
    assert!(
        finding.contains("kirsch.toml:5: routes: no request reaches"),
        "{finding}"
    );
    let text = [
        route("/kept/more", "answer = 200"),
        route("/kept", internal),
    ]
    .concat();
    assert_eq!(
        findings(&Folder::with("kirsch.toml", &text)),
        Vec::<String>::new()
    );
}

#[test]
fn a_fallback_that_is_not_there_is_found_and_served_without() {
    let text = "[[routes]]\nfiles = \".\"\nfallback = \"/app/index.html\"\n";
    let folder = Folder::with("kirsch.toml", text);
    let dispatch = dispatch(&folder, &["check"], &[]);
    let [finding] = dispatch.findings.as_slice() else {
        panic!("{:?}", dispatch.findings);
    };
    let text = finding.error.to_string();
    assert!(
        text.contains("kirsch.toml:3: routes.fallback: there is no file /"),
        "{text}"
    );
    assert!(
        text.contains("app/index.html; make it") && !finding.fatal,
        "{text}"
    );
    folder.write(
        "kirsch.toml",
        "[[routes]]\nfiles = \".\"\nfallback = \"kirsch.toml\"\n",
    );
    assert_eq!(findings(&folder), Vec::<String>::new());
}

#[test]
fn an_internal_route_says_nothing_of_responses() {
    let route = |lines: &str| format!("[[routes]]\nfiles = \".\"\n{lines}\n");
    for key in [
        "listing = true",
        "cache_control = { \"*\" = \"no-store\" }",
        "rewrite = \"/a\"",
    ] {
        let text = route(&format!("internal = true\n{key}"));
        let message = Folder::with("kirsch.toml", &text).refusal(&["check"], &[]);
        assert!(message.contains(":4: routes."), "{message}");
        assert!(
            message.contains("the application's; leave it out"),
            "{message}"
        );
    }
    let text = route("internal = true\nset_headers = { a = \"b\" }");
    let message = Folder::with("kirsch.toml", &text).refusal(&["check"], &[]);
    assert!(
        message.contains("write it in the application's route"),
        "{message}"
    );
    // Switched off it is like not there.
    let text = route("internal = false\nlisting = true");
    let dispatch = dispatch(&Folder::with("kirsch.toml", &text), &[], &[]);
    assert!(matches!(
        dispatch.routes[0].spec.action,
        RouteAction::Files(_)
    ));
    let text = "[[routes]]\ninternal = true\nanswer = 200\n";
    let message = Folder::with("kirsch.toml", text).refusal(&["check"], &[]);
    assert!(message.contains("belongs to files"), "{message}");
}

/// A route with these lines beside an answer.
fn route(lines: &str) -> String {
    format!("[[routes]]\n{lines}\nanswer = 404\n")
}

#[test]
fn what_is_wrong_in_a_table_is_said_with_its_line_and_what_to_write_instead() {
    let app = |lines: &str| format!("[apps.blog]\n{lines}\n");
    let cases = [
        // Names.
        (
            app("wsgy = \"b\""),
            "2: apps.blog.wsgy: is not a known key",
            "did you mean wsgi?",
        ),
        (
            app("callable = \"b\""),
            "2: apps.blog.callable: is not",
            "did you mean wsgi?",
        ),
        (
            route("hots = \"b\""),
            "2: routes.hots: is not a known key",
            "did you mean host?",
        ),
        (
            route("hosts = [\"b\"]"),
            "2: routes.hosts: is not a known key",
            "did you mean host?",
        ),
        (
            route("location = \"/\""),
            "2: routes.location: is not",
            "did you mean path?",
        ),
        (
            route("root = \"/\""),
            "2: routes.root: is not",
            "did you mean files?",
        ),
        (
            route("headers = { a = \"b\" }"),
            "2: routes.headers: is not",
            "did you mean header?",
        ),
        (
            route("set-headers = { a = \"b\" }"),
            "2: routes.set-headers: is",
            "did you mean set_headers?",
        ),
        (
            route("zebra = 1"),
            "2: routes.zebra: is not a known key",
            "the keys are host, path, method",
        ),
        (
            "[[route]]\nanswer = 404\n".to_owned(),
            "1: route: is not a known",
            "did you mean [[routes]]?",
        ),
        (
            "[app.blog]\nwsgi = \"b\"\n".to_owned(),
            "1: app: is not a known table",
            "did you mean [apps.NAME]?",
        ),
        (
            "[routes]\nhost = \"b\"\n".to_owned(),
            "1: routes: is a list of tables",
            "write [[routes]], with two brackets",
        ),
        (
            "routes = \"blog\"\n".to_owned(),
            "1: routes: is a list of tables",
            "write [[routes]]",
        ),
        (
            "routes = [\"blog\"]\n".to_owned(),
            "1: routes: is a list of tables",
            "write [[routes]]",
        ),
        (
            "apps = \"blog\"\n".to_owned(),
            "1: apps: is a table",
            "write [apps.NAME] with its keys below",
        ),
        (
            "apps.blog = \"b:app\"\n".to_owned(),
            "1: apps.blog: is a table",
            "write [apps.blog] and, below it, wsgi = \"b:app\"",
        ),
        // What is missing, and what does not go together.
        (
            app("threads = 2"),
            "1: apps.blog: names no application",
            "write wsgi = \"module:attribute\"",
        ),
        (
            app("wsgi = \"b\"\nrust = \"status\""),
            "2: apps.blog.wsgi: does not go together with rust",
            "leave one of them out",
        ),
        (
            app("rust = \"status\"\nthreads = 2"),
            "3: apps.blog.threads: does not go together with rust",
            "leave one of them out",
        ),
        (
            app("rust = \"status\"\npath = \"sites\""),
            "3: apps.blog.path: does not go together with rust",
            "leave one of them out",
        ),
        (
            "[[routes]]\nhost = \"b\"\n".to_owned(),
            "1: routes: does not say what becomes",
            "write app, files, cgi, redirect or answer",
        ),
        (
            route("app = \"b\""),
            "3: routes.answer: stands beside app",
            "write two routes",
        ),
        (
            route("redirect = \"/\""),
            "3: routes.answer: stands beside redirect",
            "keep one of them",
        ),
        (
            route("status = 301"),
            "2: routes.status: belongs to redirect",
            "answer in place of it",
        ),
        (
            "[[routes]]\napp = \"b\"\nbody = \"x\"\n".to_owned(),
            "3: routes.body: belongs to answer",
            "write answer beside it",
        ),
        (
            route("listing = true"),
            "2: routes.listing: belongs to files",
            "write files = \"FOLDER\" beside it",
        ),
        (
            route("rewrite = \"/\""),
            "2: routes.rewrite: belongs to app, files or cgi",
            "leave it out",
        ),
        (
            route("stream_body = true"),
            "2: routes.stream_body: belongs to app or cgi",
            "leave it out",
        ),
        (
            route("timeout_script = 5"),
            "2: routes.timeout_script: belongs to cgi",
            "write cgi = \"FOLDER\" beside it",
        ),
        (
            route("cgi = \"cgi-bin\""),
            "3: routes.answer: stands beside cgi",
            "write two routes",
        ),
        // Values.
        (
            app("wsgi = 1"),
            "2: apps.blog.wsgi: 1 is not module:attribute",
            "for instance \"blog:app\"",
        ),
        (
            app("wsgi = \"b:\""),
            "2: apps.blog.wsgi: nothing stands after the colon",
            "write b:application",
        ),
        (
            app("wsgi = \"b\"\nthreads = 0"),
            "3: apps.blog.threads: 0 is not a whole number",
            "for instance 4",
        ),
        (
            app("wsgi = \"b\"\npath = 5"),
            "3: apps.blog.path: 5 is not a path",
            "for instance \"sites/blog\"",
        ),
        (
            route("host = 5"),
            "2: routes.host: 5 is not a host",
            "for instance [\"example.com\"",
        ),
        (
            route("host = []"),
            "2: routes.host: a list is not a host",
            "for instance",
        ),
        (
            route("host = \"http://b\""),
            "2: routes.host: \"http://b\" cannot be used",
            "for instance",
        ),
        (
            route("host = \"b.*.test\""),
            "2: routes.host: \"b.*.test\" cannot be used: a *",
            "for instance",
        ),
        (
            route("host = \"::1\""),
            "2: routes.host: \"::1\" cannot be used",
            "for instance",
        ),
        (
            route("host = \"b:http\""),
            "2: routes.host: \"b:http\" cannot be used: a port",
            "for instance",
        ),
        (
            route("path = \"api\""),
            "2: routes.path: \"api\" cannot be used: a path must begin with /",
            "for instance \"/api\"",
        ),
        (
            route("method = \"get\""),
            "2: routes.method: \"get\" is in small letters",
            "write GET",
        ),
        (
            route("method = \"G T\""),
            "2: routes.method: \"G T\" is no method",
            "for instance",
        ),
        (
            route("header = \"x-beta: 1\""),
            "2: routes.header: \"x-beta: 1\" is not fields",
            "for instance { x-beta = \"1\" }",
        ),
        (
            route("header = { x-beta = 1 }"),
            "2: routes.header: the value of x-beta is a number",
            "write x-beta = \"1\"",
        ),
        (
            route("header = { \"x beta\" = \"1\" }"),
            "2: routes.header: \"x beta\" is no name",
            "for instance",
        ),
        (
            route("scheme = \"ftp\""),
            "2: routes.scheme: \"ftp\" is not http or https",
            "for instance \"http\"",
        ),
        (
            route("client = \"10.0.0\""),
            "2: routes.client: \"10.0.0\" is neither an address",
            "for instance",
        ),
        (
            route("client = \"10.0.0.1/8\""),
            "2: routes.client: 10.0.0.1/8 is an address within a network",
            "write 10.0.0.0/8",
        ),
        (
            "[[routes]]\nanswer = 99\n".to_owned(),
            "2: routes.answer: 99 is not a status",
            "for instance 404",
        ),
        (
            "[[routes]]\nanswer = \"no\"\n".to_owned(),
            "2: routes.answer: \"no\" is not a status",
            "for instance 404",
        ),
        (
            "[[routes]]\nredirect = \"b.test\"\n".to_owned(),
            "2: routes.redirect: a redirect must lead to",
            "",
        ),
        (
            "[[routes]]\nredirect = \"/{uri}\"\n".to_owned(),
            "2: routes.redirect: {uri} is not known; there are {host}",
            "",
        ),
        (
            "[[routes]]\nredirect = \"/\"\nstatus = 304\n".to_owned(),
            "2: routes.redirect: 304 does not redirect",
            "",
        ),
        (
            "[[routes]]\nredirect = \"/\"\nstatus = 200\n".to_owned(),
            "3: routes.status: 200 is not 301",
            "for instance 302",
        ),
        (
            route("set_headers = { Date = \"now\" }"),
            "2: routes.set_headers: \"Date\" cannot be set or removed",
            "for instance",
        ),
        (
            route("set_headers = { a = \"b\\nc\" }"),
            "2: routes.set_headers: ",
            "for instance",
        ),
        (
            route("remove_headers = [\"Content-Length\"]"),
            "2: routes.remove_headers: \"Content-Length\" cannot",
            "for instance",
        ),
        (
            route("limit_body = \"ten\""),
            "2: routes.limit_body: \"ten\" is not a size",
            "for instance 64KiB",
        ),
        (
            route("stream_body = \"maybe\""),
            "2: routes.stream_body: \"maybe\" is not true or false",
            "for instance true",
        ),
        (
            route("files = 5"),
            "2: routes.files: 5 is not a path",
            "for instance \"public\"",
        ),
        (
            route("precompressed = [\"br\", \"zip\"]"),
            "2: routes.precompressed: \"zip\" is not br, zstd, gzip",
            "for instance",
        ),
        (
            route("precompressed = \"deflate\""),
            "2: routes.precompressed: \"deflate\" is not br, zstd, gzip",
            "for instance [\"br\"",
        ),
        (
            route("cache_control = { \"\" = \"x\" }"),
            "2: routes.cache_control: a pattern is empty",
            "for instance",
        ),
        (
            route("host = 1979-05-27"),
            "2: routes.host: a date is of no use here",
            "",
        ),
        (
            route("host = [{ a = 1 }]"),
            "2: routes.host: a table is of no use here",
            "",
        ),
    ];
    for (toml, message, hint) in cases {
        let text = Folder::with("kirsch.toml", &toml).refusal(&["m"], &[]);
        assert!(
            text.starts_with(&format!("kirsch: kirsch.toml:{message}")) && text.contains(hint),
            "{toml}gives {text}"
        );
    }
}

#[test]
fn every_key_of_a_table_refuses_a_value_with_an_example() {
    let refused = |key: &str, table: &str| {
        let given = format!("{table}\n{key} = {{ a = [{{}}] }}\n");
        Folder::with("kirsch.toml", &given).refusal(&["m"], &[])
    };
    for key in route_keys() {
        let text = refused(key.name, "[[routes]]");
        assert!(
            text.starts_with(&format!("kirsch: kirsch.toml:2: routes.{}", key.name)),
            "{text}"
        );
    }
    for key in application_keys() {
        let text = refused(key.name, "[apps.a]");
        assert!(
            text.starts_with(&format!("kirsch: kirsch.toml:2: apps.a.{}", key.name)),
            "{text}"
        );
    }
}

#[test]
fn every_example_in_the_reference_is_understood() {
    for key in route_keys() {
        let line = format!("{} = {}", key.name, key.example);
        let beside = match key.name {
            "app" | "files" | "cgi" | "redirect" | "answer" => "",
            "status" => "redirect = \"/\"",
            "body" => "answer = 503",
            "stream_body" => "app = \"m\"",
            "limit_processes" | "timeout_script" | "pass_environment" | "pass_authorization" => {
                "cgi = \".\""
            }
            _ => "files = \".\"",
        };
        let text = format!("[[routes]]\n{line}\n{beside}\n");
        let dispatch = dispatch(&Folder::with("kirsch.toml", &text), &["m"], &[]);
        assert_ne!(dispatch.routes[0].spec.origin().to_string(), "", "{line}");
        let heading = format!("\n### `routes.{}`\n", key.name);
        assert_eq!(settings_page().matches(&heading).count(), 1, "{heading}");
    }
    for key in application_keys() {
        let text = format!("[apps.a]\nwsgi = \"m\"\n{} = {}\n", key.name, key.example);
        let text = text.replacen("wsgi = \"m\"\nwsgi", "wsgi", 1);
        let text = text.replacen("wsgi = \"m\"\nrust", "rust", 1);
        dispatch(&Folder::with("kirsch.toml", &text), &["m"], &[]);
    }
}

#[test]
fn check_finds_everything_that_leads_nowhere_at_once() {
    let folder = Folder::with(
        "kirsch.toml",
        &format!(
            "{BOTH}path = \"gone\"\n\n[[routes]]\nhost = \"b.test\"\napp = \"blogg\"\n\
             [[routes]]\npath = \"/s\"\nfiles = \"public\"\n[[routes]]\npath = \"/s/x\"\napp = \"api\"\n"
        ),
    );
    let there = |name: &str| folder.path().join(name).display().to_string();
    let public = there("public");
    assert_eq!(
        findings(&folder),
        [
            "kirsch.toml:9: routes.app: there is no application \"blogg\"; did you mean blog?".to_owned(),
            format!("kirsch.toml:12: routes.files: there is no folder {public}; make it, or write the path of another"),
            format!("kirsch.toml:13: routes: no request reaches /s/x=api, because /s={public} (kirsch.toml:10: routes) takes all of them; write it before that one, or take it out"),
            "kirsch.toml:1: apps.blog: no route leads to this application; write a route with app = \"blog\", or take it out".to_owned(),
            format!("kirsch.toml:5: apps.api.path: there is no folder {}; make it, or write the path of another", there("gone")),
        ]
    );
    let fatal: Vec<_> = dispatch(&folder, &[], &[])
        .findings
        .iter()
        .map(|it| it.fatal)
        .collect();
    assert_eq!(fatal, [true, true, false, false, true]);
}

#[test]
fn scripts_that_are_not_there_or_cannot_be_run_are_found() {
    let text = "[[routes]]\npath = \"/a\"\ncgi = \"cgi-bin\"\n[[routes]]\npath = \"/b\"\ncgi = \"kirsch.toml\"\n\
                [[routes]]\npath = \"/c\"\ncgi = \".\"\n";
    let folder = Folder::with("kirsch.toml", text);
    let there = |name: &str| folder.path().join(name).display().to_string();
    let (missing, file) = (there("cgi-bin"), there("kirsch.toml"));
    assert_eq!(
        findings(&folder),
        [
            format!(
                "kirsch.toml:3: routes.cgi: there is no folder and no script {missing}; make it, or write the path of another"
            ),
            format!(
                "kirsch.toml:6: routes.cgi: {file} is not executable; run chmod +x {file}, or write the path of a folder"
            ),
        ]
    );
    assert!(
        dispatch(&folder, &[], &[])
            .findings
            .iter()
            .all(|it| it.fatal)
    );
}

#[test]
fn scripts_have_the_terms_that_are_written() {
    let text = "[[routes]]\npath = \"/cgi-bin\"\ncgi = \".\"\nlimit_processes = 3\ntimeout_script = \"2m\"\n\
                pass_environment = \"LANG\"\npass_authorization = true\nstream_body = true\n\
                [[routes]]\ncgi = \".\"\n";
    let dispatch = dispatch(&Folder::with("kirsch.toml", text), &[], &[]);
    let [written, usual] = dispatch.routes.as_slice() else {
        panic!("there are two");
    };
    let (RouteAction::Cgi(written), RouteAction::Cgi(usual)) =
        (&written.spec.action, &usual.spec.action)
    else {
        panic!("both lead to scripts");
    };
    let expected = CgiSpec {
        path: written.path.clone(),
        processes: Some(3),
        run: Duration::from_secs(120),
        environment: vec!["LANG".to_owned()],
        authorization: true,
    };
    assert_eq!(*written, expected);
    let nothing_said = CgiSpec {
        path: usual.path.clone(),
        ..CgiSpec::default()
    };
    assert_eq!(*usual, nothing_said);
}

#[test]
fn an_application_that_the_engine_was_not_built_with_is_found() {
    let text = "[apps.status]\nrust = \"statsu\"\n[[routes]]\napp = \"status\"\n";
    let folder = Folder::with("kirsch.toml", text);
    let lacking = "kirsch.toml:2: apps.status.rust: this build of Kirsch provides no Rust application called \"statsu\"; ";
    let cases: [(&[&str], Option<&str>); 4] = [
        (&["other", "statsu"], None),
        (&["other", "status"], Some("did you mean status?")),
        (&["metrics", "queue"], Some("it provides metrics, queue")),
        (
            &[],
            Some("it provides none; run the command of the engine that was built with it"),
        ),
    ];
    for (provided, hint) in cases {
        let provided: Vec<String> = provided.iter().map(|it| (*it).to_owned()).collect();
        let mut dispatch = dispatch(&folder, &[], &[]);
        dispatch.look_for_rust(&provided);
        let found: Vec<_> = dispatch
            .findings
            .iter()
            .map(|it| (it.error.to_string(), it.fatal))
            .collect();
        let expected: Vec<_> = hint
            .iter()
            .map(|it| (format!("{lacking}{it}"), true))
            .collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn an_application_in_rust_has_a_route_to_it_even_alone() {
    let text = "[apps.status]\nrust = \"status\"\n[[routes]]\napp = \"status\"\n";
    let dispatch = dispatch(&Folder::with("kirsch.toml", text), &[], &[]);
    assert_eq!(
        dispatch.applications[0].kind,
        ApplicationKind::Rust("status".to_owned())
    );
    assert_eq!(
        (dispatch.alone(), dispatch.brief().as_str()),
        (None, "status")
    );
}

#[test]
fn an_application_that_nobody_describes_says_where_to_do_so() {
    let folder = Folder::with("kirsch.toml", "[[routes]]\napp = \"blog\"\n");
    assert_eq!(
        findings(&folder),
        [
            "kirsch.toml:2: routes.app: there is no application \"blog\"; describe it in a table [apps.blog]"
        ]
    );
}

#[test]
fn applications_without_a_route_are_not_served_by_chance() {
    let text = Folder::with("kirsch.toml", BOTH).refusal(&[], &[]);
    assert!(
        text.starts_with("kirsch: kirsch.toml:1: apps.blog: no route leads to an application")
            && text.contains("write [[routes]] and, below it, app = \"blog\""),
        "{text}"
    );
}

#[test]
fn what_is_typed_wrong_before_an_equals_sign_says_what_to_write() {
    let cases: &[(&[&str], &str, &str)] = &[
        (
            &["a", "b"],
            "application: a and b would both take every request",
            "as in blog.example.com=b or /v1=b",
        ),
        (
            &["=a"],
            "application: nothing stands before the equals sign",
            "write HOST=, HOST/PATH= or /PATH=",
        ),
        (
            &["a.test="],
            "application: nothing stands after the equals sign",
            "write a.test=module:attribute",
        ),
        (
            &["http://a.test=a"],
            "application: \"http://a.test\" begins with a scheme",
            "write a.test alone",
        ),
        (
            &["a:app=a.test"],
            "application: \"a:app\" cannot be used",
            "write a.test=a:app",
        ),
        (
            &["a.test=a:"],
            "application: nothing stands after the colon",
            "write a:application",
        ),
        (
            &["a_ b=a"],
            "application: \"a_ b\" cannot be used: a host must be a name",
            "for instance",
        ),
        (
            &["m", "--static", "/static"],
            "flag --static: \"/static\" does not say",
            "write /static=static",
        ),
        (
            &["m", "--static", "public"],
            "flag --static: \"public\" does not say",
            "write /public=public",
        ),
        (
            &["m", "--static", "/s="],
            "flag --static: no folder stands after",
            "write /s=FOLDER",
        ),
        (
            &["m", "--static", "static=public"],
            "flag --static: \"static\" is no path",
            "write /static=public for the path, or static/=public for the host",
        ),
        (
            &["m", "--static", "a b=/s"],
            "flag --static: \"a b\" cannot be used",
            "write /s=a b",
        ),
        (
            &["m", "--unknown-host", "500"],
            "flag --unknown-host: \"500\" is not 421 or 404",
            "for instance 404",
        ),
    ];
    for (args, message, hint) in cases {
        let text = Folder::new().refusal(args, &[]);
        assert!(
            text.starts_with(&format!("kirsch: {message}")) && text.contains(hint),
            "{args:?}: {text}"
        );
    }
}

fn text(value: &str) -> KeywordValue {
    KeywordValue::Str(value.to_owned())
}

fn keywords(given: &[(&str, KeywordValue)]) -> Result<RouteSpec, String> {
    let given = given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    RouteSpec::from_keywords(given).map_err(|error| error.to_string())
}

#[test]
fn a_program_says_the_same_in_keywords() {
    let header = KeywordValue::Table(vec![("x-beta".to_owned(), text("1"))]);
    let route = keywords(&[
        ("path", text("/v1")),
        ("host", KeywordValue::None),
        ("header", header),
        ("app", text("api")),
    ]);
    let application = Application::of_program("api".to_owned(), Some(2), ApplicationKind::Given);
    let dispatch = Dispatch::of_program(
        &Settings::default(),
        vec![application],
        vec![route.expect("a good route")],
        Some(0),
    );
    assert_eq!(
        (dispatch.brief().as_str(), dispatch.findings),
        ("some of /v1=api, api", vec![])
    );
}

#[test]
fn a_program_hears_which_argument_is_wrong() {
    let cases = [
        (
            vec![("hots", text("b")), ("answer", KeywordValue::Int(404))],
            "argument hots: is not a known key; did you mean host?",
        ),
        (
            vec![("host", text("b"))],
            "argument route: does not say what becomes of a request; write app, files, cgi, redirect or answer in it",
        ),
        (
            vec![
                ("path", KeywordValue::Float(0.5)),
                ("answer", KeywordValue::Int(404)),
            ],
            "argument path: 0.5 is not a path that begins with a slash, or a list of them; write",
        ),
    ];
    for (given, message) in cases {
        let refused = keywords(&given).expect_err("is refused");
        assert!(refused.starts_with(message), "{refused}");
    }
}
