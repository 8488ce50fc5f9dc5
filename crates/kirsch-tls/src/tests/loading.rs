//! Files that are good, and each way in which they are not.

use std::os::unix::fs::PermissionsExt;

use pkcs8::PrivateKeyInfo;
use pkcs8::der::pem::LineEnding;
use pkcs8::pkcs5::pbes2;
use rcgen::{PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize};

use super::*;
use crate::file::Files;
use crate::{Password, TlsError, Trouble, Warning, private_key};

/// Reads a pair: the message, if it cannot be served.
fn tried(house: &House, files: &PairFiles) -> Result<Vec<Warning>, String> {
    let mut warnings = Vec::new();
    Pair::load(files, &mut Files::default(), &mut warnings)
        .map(|_| warnings)
        .map_err(|error| said(&error, house.folder.path()))
}

fn read_key(content: &str, password: Option<&Password>) -> Result<Vec<u8>, Trouble> {
    let path = Path::new("key.pem");
    private_key::read(path, content.as_bytes(), password, &mut Files::default())
        .map(|key| key.secret_der().to_vec())
        .map_err(|error| error.trouble)
}

fn pem(label: &str, der: &[u8]) -> String {
    pkcs8::der::pem::encode_string(label, LineEnding::LF, der).expect("PEM")
}

fn password(word: &str) -> Option<Password> {
    Some(Password::Value(word.to_owned()))
}

#[test]
fn keys_of_every_kind_are_read_from_every_form() {
    let house = House::new();
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key");
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("a key");
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let keys = [
        (rsa, Some("RSA PRIVATE KEY")),
        (new_key(), Some("EC PRIVATE KEY")),
        (p384, Some("EC PRIVATE KEY")),
        (ed25519, None),
    ];
    for (key, older_form) in keys {
        let files = house.pair_of("pair", &params(&["example.org"]), &key);
        house.key_is_good(&files);
        // Inside of PKCS#8 stands the older form.
        let whole = key.serialize_der();
        let inner = PrivateKeyInfo::try_from(whole.as_slice()).expect("PKCS#8");
        if let Some(label) = older_form {
            house.write("pair.key", pem(label, inner.private_key));
            house.key_is_good(&files);
            // As openssl ecparam -genkey writes it.
            let parameters = pem("EC PARAMETERS", b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07");
            house.write("pair.key", parameters + &pem(label, inner.private_key));
            house.key_is_good(&files);
        }
        let modes = [
            pbes2::Parameters::pbkdf2_sha256_aes128cbc(2048, b"saltsalt", &[1; 16]),
            pbes2::Parameters::pbkdf2_sha256_aes256cbc(2048, b"saltsalt", &[2; 16]),
        ];
        for mode in modes {
            let inner = PrivateKeyInfo::try_from(whole.as_slice()).expect("PKCS#8");
            let encrypted = inner
                .encrypt_with_params(mode.expect("parameters"), "word")
                .expect("encrypted");
            house.write(
                "pair.key",
                pem("ENCRYPTED PRIVATE KEY", encrypted.as_bytes()),
            );
            house.key_is_good(&PairFiles {
                password: password("word"),
                ..files.clone()
            });
        }
    }
}

#[test]
fn both_may_be_in_one_file() {
    let house = House::new();
    let mut files = house.pair("pair", &["example.org"]);
    let both =
        [&files.key, &files.certificate].map(|path| std::fs::read_to_string(path).expect("text"));
    files.certificate = house.write("both.pem", both.concat());
    files.key.clone_from(&files.certificate);
    house.key_is_good(&files);
}

#[test]
fn what_openssl_encrypts_is_opened_by_its_password_only() {
    let aes = include_str!("openssl-key-aes.pem");
    let des = include_str!("openssl-key-3des.pem");
    let opened = read_key(aes, password("kirsch").as_ref()).expect("the key");
    assert_eq!(
        read_key(des, password("kirsch").as_ref()),
        Ok(opened.clone())
    );
    // With text around it, and as an editor on Windows leaves it.
    let dressed = format!("Our key:\n\n{aes}\nEnd of our key.\n").replace('\n', "\r\n");
    assert_eq!(read_key(&dressed, password("kirsch").as_ref()), Ok(opened));
    for wrong in ["", "Kirsch", "kirsch "] {
        for key in [aes, des] {
            assert_eq!(
                read_key(key, password(wrong).as_ref()),
                Err(Trouble::WrongPassword)
            );
        }
    }
    assert_eq!(read_key(aes, None), Err(Trouble::PasswordWanted));
    let old = include_str!("openssl-key-old.pem");
    assert_eq!(
        read_key(old, password("kirsch").as_ref()),
        Err(Trouble::LegacyEncryption)
    );
}

#[test]
fn a_certificate_of_version_1_is_served_too() {
    let house = House::new();
    let files = PairFiles {
        certificate: house.write("old.crt", include_str!("openssl-version-1.pem")),
        key: house.write("old.key", include_str!("openssl-key-aes.pem")),
        password: password("kirsch"),
    };
    let mut warnings = Vec::new();
    let pair = Pair::load(&files, &mut Files::default(), &mut warnings).expect("a pair");
    assert!(warnings.contains(&Warning::Nameless(files.certificate)));
    assert_eq!(pair.variables().value("SSL_SERVER_M_VERSION"), Some("1"));
    assert_eq!(pair.variables().value("SSL_SERVER_M_SERIAL"), Some("2A"));
}

#[test]
fn a_password_may_stand_in_a_file_with_or_without_a_newline() {
    let house = House::new();
    let aes = include_str!("openssl-key-aes.pem");
    let from = |content: &str| {
        let path = house.write("password", content);
        read_key(aes, Some(&Password::File(path))).map(drop)
    };
    for good in ["kirsch", "kirsch\n", "kirsch\r\n"] {
        assert_eq!(from(good), Ok(()));
    }
    assert_eq!(from("kirsch\n\n"), Err(Trouble::WrongPassword));
    let missing = Password::File(house.path("nowhere"));
    assert_eq!(read_key(aes, Some(&missing)), Err(Trouble::Missing));
    assert_eq!(format!("{:?}", password("kirsch")), "Some(Value(…))");
}

#[test]
fn each_trouble_names_the_file_and_the_way_out() {
    let house = House::new();
    let good = house.pair("good", &["example.org"]);
    let other = house.pair("other", &["example.org"]);
    let with = |certificate: &str, key: &str| PairFiles {
        certificate: house.path(certificate),
        key: house.path(key),
        password: None,
    };
    let text = std::fs::read_to_string(&good.certificate).expect("PEM");
    house.write("half.crt", &text[..text.len() / 2]);
    house.write("der.crt", house.authority.der());
    house.write("der.key", new_key().serialize_der());
    house.write("empty", "");
    house.write("notes", "buy cherries\n");
    house.write("broken.crt", pem("CERTIFICATE", b"no certificate"));
    house.write("broken.key", pem("PRIVATE KEY", b"no key"));
    house.write("old.key", include_str!("openssl-key-old.pem"));
    house.write("locked.key", include_str!("openssl-key-aes.pem"));
    let leaf_last = house.authority.pem() + &text;
    house.write("turned.crt", leaf_last);
    let cases = [
        (
            with("no.crt", "good.key"),
            "no.crt: there is no such file; ",
        ),
        (
            with("good.crt", "no.key"),
            "no.key: there is no such file; ",
        ),
        (
            with("good.crt/x", "good.key"),
            "good.crt/x: there is no such file; ",
        ),
        (with(".", "good.key"), "it is a folder; "),
        (
            with("empty", "good.key"),
            "empty: there is no certificate in it; ",
        ),
        (
            with("notes", "good.key"),
            "notes: there is no certificate in it; ",
        ),
        (
            with("good.crt", "notes"),
            "notes: there is no private key in it; ",
        ),
        (
            with("good.crt", "other.crt"),
            "other.crt: there is no private key in it; ",
        ),
        (
            with("good.key", "good.crt"),
            "good.key: it holds a private key, and good.crt the certificate; ",
        ),
        (
            with("good.key", "empty"),
            "good.key: there is no certificate in it; ",
        ),
        (
            with("der.crt", "good.key"),
            "der.crt: it is DER, and PEM is wanted; convert it: openssl x509 -inform DER -in der.crt -out der.crt.pem",
        ),
        (
            with("good.crt", "der.key"),
            "der.key: it is DER, and PEM is wanted; convert it: openssl pkey -inform DER -in der.key -out der.key.pem",
        ),
        (
            with("good.crt", "good.crt"),
            "good.crt: there is no private key in it; name the file of its key too",
        ),
        (
            with("half.crt", "good.key"),
            "half.crt: it is not whole PEM: the line -----END CERTIFICATE----- is missing; ",
        ),
        (
            with("broken.crt", "good.key"),
            "broken.crt: certificate 1 in it cannot be read; ",
        ),
        (
            with("good.crt", "broken.key"),
            "broken.key: the private key cannot be used: ",
        ),
        (
            with("good.crt", "other.key"),
            "other.key: the key belongs to another certificate than that in good.crt; ",
        ),
        (
            with("turned.crt", "good.key"),
            "good.key: the key belongs to certificate 2 in turned.crt; put that one first",
        ),
        (
            with("good.crt", "locked.key"),
            "locked.key: the key is encrypted; name the file that holds its password",
        ),
        (
            with("good.crt", "old.key"),
            "old.key: the key is encrypted in the old form (Proc-Type: 4,ENCRYPTED), which is easily guessed; \
             convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in old.key -out old.key.new",
        ),
    ];
    for (files, expected) in cases {
        let message = tried(&house, &files).expect_err(expected);
        assert!(message.contains(expected), "{message}\nis not\n{expected}");
        assert!(message.contains("; "), "{message}: no way out");
        assert!(!message.ends_with('.'), "{message}");
    }
    assert!(tried(&house, &other).is_ok());
}

#[test]
fn a_certificate_is_served_in_its_time_only() {
    let house = House::new();
    let mut late = params(&["example.org"]);
    late.not_after = (SystemTime::now() - DAY).into();
    let mut early = params(&["example.org"]);
    early.not_before = (SystemTime::now() + DAY).into();
    let said = |params| {
        let files = house.pair_of("pair", &params, &new_key());
        tried(&house, &files).expect_err("not now")
    };
    assert!(said(late).starts_with("pair.crt: the certificate has expired on 20"));
    assert!(said(early).starts_with("pair.crt: the certificate is valid from 20"));
}

#[test]
fn what_cannot_be_read_for_lack_of_rights_says_so() {
    let error = TlsError::unreadable(
        Path::new("/etc/key.pem"),
        &io::ErrorKind::PermissionDenied.into(),
    );
    assert_eq!(
        error.to_string(),
        "/etc/key.pem: the user of the server may not read it; give the right to it, and to the folders above"
    );
}

#[test]
fn doubts_are_said_and_stop_nothing() {
    let house = House::new();
    let files = house.pair("pair", &["example.org"]);
    std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(0o640)).expect("rights");
    assert_eq!(tried(&house, &files), Ok(Vec::new()));
    std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(0o644)).expect("rights");
    let leaf = std::fs::read_to_string(&files.certificate).expect("PEM");
    house.write(
        "pair.crt",
        leaf.clone() + &House::new().sign(&params(&[]), &new_key()).pem(),
    );
    assert_eq!(
        tried(&house, &files),
        Ok(vec![
            Warning::KeyOpen(files.key.clone(), 0o644),
            Warning::ChainOrder(files.certificate.clone(), 2),
        ])
    );
    // The root itself may come along.
    house.write("pair.crt", leaf + &house.authority.pem());
    assert_eq!(
        tried(&house, &files),
        Ok(vec![Warning::KeyOpen(files.key.clone(), 0o644)])
    );
    let nameless = house.pair_of("nameless", &params(&[]), &new_key());
    std::fs::set_permissions(&nameless.key, std::fs::Permissions::from_mode(0o600))
        .expect("rights");
    assert_eq!(
        tried(&house, &nameless),
        Ok(vec![Warning::Nameless(nameless.certificate.clone())])
    );
}

#[test]
fn no_pair_at_all_is_said() {
    let error = Material::load(TlsConfig::default()).expect_err("nothing to serve");
    assert_eq!(
        error.to_string(),
        "no certificate was named; name one and its key"
    );
}

impl House {
    /// A handshake is made with it.
    fn key_is_good(&self, files: &PairFiles) {
        let config = TlsConfig {
            pairs: vec![files.clone()],
            ..TlsConfig::default()
        };
        let served = load(config).served();
        met(&served, &Arc::new(self.client()), "example.org");
    }
}
