//! Certificates of clients, and lists of revoked ones.

use rcgen::Issuer;
use rustls::CertificateError;

use super::*;
use crate::{Clients, Trouble, Trust, Warning};

fn served(house: &House, clients: Clients) -> Arc<Served> {
    let mut config = house.config(&["example.org"]);
    config.clients = clients;
    load(config).served()
}

fn refused(served: &Served, client: ClientConfig) -> Error {
    let result = meet(served, &Arc::new(client), "example.org");
    result.err().expect("refused")
}

fn numbered(serial: u64) -> CertificateParams {
    let mut params = params(&[]);
    params.serial_number = Some(SerialNumber::from(serial));
    params
}

#[test]
fn who_must_bring_a_certificate_and_who_may() {
    let house = House::new();
    let shows = |clients: Clients, client: ClientConfig| {
        let served = served(&house, clients);
        meet(&served, &Arc::new(client), "example.org")
            .map(|met| met.server.peer_certificates().map(<[_]>::len))
    };
    let with = || house.client_with(&params(&[]));
    let missing = Err(Error::NoCertificatesPresented);
    let trust = || house.trust();
    assert_eq!(shows(Clients::Anonymous, house.client()), Ok(None));
    assert_eq!(shows(Clients::Anonymous, with()), Ok(None));
    assert_eq!(shows(Clients::Optional(trust()), house.client()), Ok(None));
    assert_eq!(shows(Clients::Optional(trust()), with()), Ok(Some(1)));
    assert_eq!(shows(Clients::Required(trust()), with()), Ok(Some(1)));
    assert_eq!(shows(Clients::Required(trust()), house.client()), missing);
}

#[test]
fn a_certificate_that_is_not_trusted_is_refused_even_if_none_is_required() {
    let (house, stranger) = (House::new(), House::new());
    let served = served(&house, Clients::Optional(house.trust()));
    let key = new_key();
    let chain = vec![stranger.sign(&params(&[]), &key).der().clone()];
    let strange = refused(&served, house.client_with_chain(chain, &key));
    assert!(
        matches!(strange, Error::InvalidCertificate(_)),
        "{strange:?}"
    );
    let mut late = params(&[]);
    late.not_after = (SystemTime::now() - DAY).into();
    let late = refused(&served, house.client_with(&late));
    assert!(
        matches!(
            late,
            Error::InvalidCertificate(CertificateError::ExpiredContext { .. })
        ),
        "{late:?}"
    );
}

#[test]
fn who_is_on_the_list_is_refused() {
    let house = House::new();
    let mut trust = house.trust();
    let until = SystemTime::now() + DAY;
    trust.revocations = vec![house.write(
        "list.pem",
        house.revocations(&[SerialNumber::from(7)], until),
    )];
    let served = served(&house, Clients::Required(trust));
    met(
        &served,
        &Arc::new(house.client_with(&numbered(6))),
        "example.org",
    );
    assert_eq!(
        refused(&served, house.client_with(&numbered(7))),
        Error::InvalidCertificate(CertificateError::Revoked)
    );
}

#[test]
fn an_authority_without_a_list_is_not_believed_where_there_are_lists() {
    let house = House::new();
    let mut trust = house.trust();
    trust.revocations =
        vec![house.write("list.pem", house.revocations(&[], SystemTime::now() + DAY))];
    let served = served(&house, Clients::Required(trust));
    // An authority in between, which our own has signed.
    let mut between = params(&[]);
    between.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    between.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let (between_key, key) = (new_key(), new_key());
    let between_der = house.sign(&between, &between_key).der().clone();
    let issuer = Issuer::new(between, between_key);
    let leaf = params(&["client.test"])
        .signed_by(&key, &issuer)
        .expect("signed");
    let client = house.client_with_chain(vec![leaf.der().clone(), between_der], &key);
    assert_eq!(
        refused(&served, client),
        Error::InvalidCertificate(CertificateError::UnknownRevocationStatus)
    );
}

#[test]
fn a_list_may_be_der() {
    let house = House::new();
    let list = house.revocations(&[SerialNumber::from(7)], SystemTime::now() + DAY);
    let (_, der) =
        pkcs8::der::Document::from_pem(std::str::from_utf8(&list).expect("PEM")).expect("PEM");
    let mut trust = house.trust();
    trust.revocations = vec![house.write("list.crl", der.as_bytes())];
    let served = served(&house, Clients::Required(trust));
    let error = refused(&served, house.client_with(&numbered(7)));
    assert_eq!(error, Error::InvalidCertificate(CertificateError::Revoked));
}

#[test]
fn files_that_are_no_use_are_said_at_the_start() {
    let house = House::new();
    let expired = house.revocations(&[], SystemTime::now() - DAY);
    let authority = house.authority.pem();
    house.write("expired.pem", expired);
    house.write("authority.pem", &authority);
    house.write(
        "broken.pem",
        "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
    );
    house.write("empty", "");
    let tried = |authorities: &str, list: Option<&str>| {
        let mut config = house.config(&["example.org"]);
        config.clients = Clients::Required(Trust {
            authorities: house.path(authorities),
            revocations: list.map(|name| house.path(name)).into_iter().collect(),
        });
        Material::load(config)
            .map(drop)
            .map_err(|error| said(&error, house.folder.path()))
    };
    let cases = [
        ("no.pem", None, "no.pem: there is no such file; "),
        ("empty", None, "empty: there is no certificate in it; "),
        (
            "authority.pem",
            Some("no.pem"),
            "no.pem: there is no such file; ",
        ),
        (
            "authority.pem",
            Some("authority.pem"),
            "authority.pem: there is no revocation list in it; ",
        ),
        (
            "authority.pem",
            Some("broken.pem"),
            "broken.pem: revocation list 1 in it cannot be used: it cannot be read; ",
        ),
        (
            "authority.pem",
            Some("expired.pem"),
            "expired.pem: the revocation list has expired on 20",
        ),
    ];
    for (authorities, list, expected) in cases {
        let message = tried(authorities, list).expect_err(expected);
        assert!(
            message.starts_with(expected),
            "{message}\nis not\n{expected}"
        );
    }
    assert_eq!(tried("authority.pem", None), Ok(()));
}

#[test]
fn a_list_of_strangers_is_doubted() {
    let house = House::new();
    let mut foreign = params(&[]);
    foreign
        .distinguished_name
        .push(DnType::CommonName, "Somebody else");
    foreign.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    foreign.key_usages = vec![KeyUsagePurpose::CrlSign];
    let stranger = House {
        authority: CertifiedIssuer::self_signed(foreign, new_key()).expect("an authority"),
        folder: tempfile::tempdir().expect("a folder"),
    };
    let mut trust = house.trust();
    let list = house.write(
        "list.pem",
        stranger.revocations(&[], SystemTime::now() + DAY),
    );
    trust.revocations = vec![list.clone()];
    let mut config = house.config(&["example.org"]);
    config.clients = Clients::Required(trust);
    let (_, warnings) = Material::load(config).expect("good files");
    assert!(
        warnings.contains(&Warning::ForeignRevocations(list)),
        "{warnings:?}"
    );
}

#[test]
fn a_list_that_comes_too_late_keeps_the_old_one() {
    let house = House::new();
    let mut trust = house.trust();
    let list = |until| {
        house.write(
            "list.pem",
            house.revocations(&[SerialNumber::from(7)], until),
        )
    };
    trust.revocations = vec![list(SystemTime::now() + DAY)];
    let mut config = house.config(&["example.org"]);
    config.clients = Clients::Required(trust);
    let material = load(config);
    list(SystemTime::now() - DAY);
    let error = material.reload().expect_err("expired");
    assert!(
        matches!(error.trouble, Trouble::RevocationsExpired(_)),
        "{error}"
    );
    met(
        &material.served(),
        &Arc::new(house.client_with(&numbered(6))),
        "example.org",
    );
}
