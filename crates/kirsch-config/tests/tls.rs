//! How the options of TLS go together, and what is spoken where.

mod common;

use common::Folder;
use kirsch_server::{Bind, Clients, Config, Password};

fn config(args: &[&str]) -> Config {
    let folder = Folder::new();
    let args: Vec<&str> = [&["m"], args].concat();
    folder.settings(&args, &[]).config
}

fn binds(args: &[&str]) -> Vec<String> {
    let name = |bind: &Bind| match bind {
        Bind::TlsDescriptor(number) => format!("https fd {number}"),
        bind => bind.to_string(),
    };
    config(args).binds.iter().map(name).collect()
}

#[test]
fn with_a_certificate_every_address_of_tcp_speaks_tls() {
    let args = ["--bind=127.0.0.1:1", "--bind=@k", "--bind=fd://3"];
    assert_eq!(binds(&args), ["127.0.0.1:1", "@k", "fd://3"]);
    assert_eq!(config(&args).tls, None);
    let secure = [&["--tls-cert=pair.pem"], args.as_slice()].concat();
    assert_eq!(binds(&secure), ["https://127.0.0.1:1", "@k", "https fd 3"]);
    assert_eq!(binds(&["--tls-self-signed"]), ["https://127.0.0.1:8000"]);
}

#[test]
fn where_addresses_say_what_they_speak_they_speak_that() {
    let args = [
        "--tls-cert=pair.pem",
        "--bind=https://127.0.0.1:1",
        "--bind=http://127.0.0.1:2",
        "--bind=fd://3",
    ];
    assert_eq!(
        binds(&args),
        ["https://127.0.0.1:1", "127.0.0.1:2", "fd://3"]
    );
    let args = ["--bind=http://127.0.0.1:2"];
    assert_eq!(binds(&args), ["127.0.0.1:2"], "without TLS, too");
}

#[test]
fn certificates_have_keys_in_their_order() {
    let args = [
        "--tls-cert=/a",
        "--tls-key=/b",
        "--tls-cert=/c",
        "--tls-key=/d",
        "--tls-key-password-file=/e",
    ];
    let tls = config(&args).tls.expect("there is a certificate");
    let pairs = tls.certificates.pairs;
    let paths: Vec<_> = pairs
        .iter()
        .map(|pair| (pair.certificate.to_str(), pair.key.to_str()))
        .collect();
    assert_eq!(paths, [(Some("/a"), Some("/b")), (Some("/c"), Some("/d"))]);
    assert_eq!(pairs[0].password, Some(Password::File("/e".into())));
    let alone = config(&["--tls-cert=/a"]).tls.expect("there is one");
    assert_eq!(alone.certificates.pairs[0].key.to_str(), Some("/a"));
}

#[test]
fn clients_with_certificates_need_somebody_who_signs_them() {
    let args = [
        "--tls-cert=/a",
        "--tls-client-certs=required",
        "--tls-client-ca=/ca",
        "--tls-client-crl=/one",
        "--tls-client-crl=/two",
    ];
    let tls = config(&args).tls.expect("there is a certificate");
    let Clients::Required(trust) = tls.certificates.clients else {
        panic!("they are not required");
    };
    assert_eq!(trust.authorities.to_str(), Some("/ca"));
    assert_eq!(trust.revocations.len(), 2);
}

#[test]
fn what_does_not_go_together_is_refused_with_its_place() {
    let cases: [(&[&str], &str); 9] = [
        (
            &["--tls-key=/k"],
            "flag --tls-key: there is no certificate; set tls-cert too",
        ),
        (
            &["--tls-hsts=1h"],
            "flag --tls-hsts: there is no certificate",
        ),
        (
            &["--tls-cert=/a", "--tls-cert=/b", "--tls-key=/k"],
            "flag --tls-key: there are 2 certificates and 1 keys",
        ),
        (
            &["--bind=https://127.0.0.1:1"],
            "flag --bind: https://127.0.0.1:1 has no certificate",
        ),
        (
            &[
                "--tls-cert=/a",
                "--bind=https://127.0.0.1:1",
                "--bind=127.0.0.1:2",
            ],
            "flag --bind: 127.0.0.1:2 does not say what is spoken there, and others do; \
             write https://127.0.0.1:2 or http://127.0.0.1:2",
        ),
        (
            &["--tls-cert=/a", "--tls-client-certs=optional"],
            "flag --tls-client-certs: nobody is named who signs certificates of clients",
        ),
        (
            &["--tls-cert=/a", "--tls-client-ca=/ca"],
            "flag --tls-client-ca: clients are not asked for certificates",
        ),
        (
            &["--tls-cert=/a", "--tls-client-crl=/crl"],
            "flag --tls-client-crl: clients are not asked for certificates",
        ),
        (
            &["--tls-cert=/a", "--tls-redirect"],
            "flag --tls-redirect: leads from an address that speaks http",
        ),
    ];
    for (args, message) in cases {
        let args: Vec<&str> = [&["m"], args].concat();
        let said = Folder::new().refusal(&args, &[]);
        assert!(said.contains(message), "{said}");
    }
}

#[test]
fn a_password_is_shown_nowhere() {
    let folder = Folder::new();
    let env = [("KIRSCH_TLS_KEY_PASSWORD", "geheim")];
    let settings = folder.settings(&["m", "--tls-cert=/a"], &env);
    assert!(!settings.describe().contains("geheim"));
    assert!(!format!("{settings:?}").contains("geheim"));
    let said = folder.refusal(&["m", "--tls-cert=/a", "--tls-key-password=geheim"], &[]);
    assert!(
        said.contains("flag --tls-key-password: is not a known flag"),
        "{said}"
    );
    assert!(!said.contains("geheim"), "{said}");
    folder.write("kirsch.toml", "[tls]\nkey_password = \"geheim\"\n");
    let said = folder.refusal(&["m"], &[]);
    let wanted =
        "kirsch.toml:2: tls.key_password: cannot stand in a file; set KIRSCH_TLS_KEY_PASSWORD";
    assert!(said.contains(wanted) && !said.contains("geheim"), "{said}");
}
