//! A server's end without a socket, whatever comes.

use std::io::Read;

use rcgen::Issuer;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use rustls::{AlertDescription, CertificateError, ContentType, HandshakeKind};

use super::*;
use crate::{Failure, Plain, Progress, Session, UNSENT_BYTES};

const HOUR: Duration = Duration::from_secs(60 * 60);

struct Pairing {
    client: ClientConnection,
    session: Session,
    material: Material,
}

impl Pairing {
    fn new(house: &House) -> Pairing {
        Pairing::with(house, house.config(&["example.org"]))
    }

    fn with(house: &House, config: TlsConfig) -> Pairing {
        let name = ServerName::try_from("example.org").expect("a name");
        Pairing {
            client: ClientConnection::new(Arc::new(house.client()), name).expect("a client"),
            session: Session::new(),
            material: load(config),
        }
    }

    /// A handshake, in pieces of so many bytes.
    fn open(mut self, piece: usize) -> Pairing {
        for _ in 0..8 {
            self.carry_in(piece).expect("no failure");
            self.carry_out();
        }
        assert_eq!(self.session.receive(&mut [].as_slice()), Ok(Progress::Open));
        assert!(!self.client.is_handshaking());
        self
    }

    fn of_client(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        while self.client.wants_write() {
            self.client
                .write_tls(&mut wire)
                .expect("a buffer takes all");
        }
        wire
    }

    fn carry_in(&mut self, piece: usize) -> Result<(), Failure> {
        for piece in self.of_client().chunks(piece) {
            let mut left = piece;
            // At any time, in the middle of a record too.
            self.session.rest();
            while !left.is_empty() {
                if self.session.receive(&mut left)? == Progress::Work {
                    assert!(!self.session.has_to_send());
                    self.session.work(&self.material)?;
                }
            }
        }
        Ok(())
    }

    fn of_server(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        while self.session.has_to_send() {
            self.session.send(&mut wire).expect("a buffer takes all");
        }
        wire
    }

    fn carry_out(&mut self) {
        let wire = self.of_server();
        give(&mut self.client, &wire).expect("the server makes no mistake");
    }
}

fn give(client: &mut ClientConnection, mut wire: &[u8]) -> Result<Vec<u8>, Error> {
    let mut plain = Vec::new();
    while !wire.is_empty() {
        client.read_tls(&mut wire).expect("a buffer gives all");
        client.process_new_packets()?;
        let mut reader = client.reader();
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut piece) {
            plain.extend_from_slice(&piece[..count]);
        }
    }
    Ok(plain)
}

/// The types of the records in some bytes.
fn records(mut wire: &[u8]) -> Vec<ContentType> {
    let mut kinds = Vec::new();
    while let [kind, _, _, high, low, rest @ ..] = wire {
        kinds.push(ContentType::from(*kind));
        wire = &rest[usize::from(*high) << 8 | usize::from(*low)..];
    }
    assert!(wire.is_empty());
    kinds
}

#[test]
fn a_handshake_in_pieces_of_any_size_is_the_same() {
    let house = House::new();
    for piece in [1, 2, 5, 100, 1 << 20] {
        let pairing = Pairing::new(&house).open(piece);
        assert_eq!(pairing.session.host(), Some("example.org"));
        let variables = pairing.session.variables().expect("an open session");
        assert_eq!(variables.value("SSL_PROTOCOL"), Some("TLSv1.3"));
    }
}

#[test]
fn the_work_may_be_done_on_another_thread() {
    let house = House::new();
    let mut pairing = Pairing::new(&house);
    let hello = pairing.of_client();
    let progress = pairing.session.receive(&mut hello.as_slice());
    assert_eq!(progress, Ok(Progress::Work));
    let Pairing {
        client,
        mut session,
        material,
    } = pairing;
    let (session, material) = std::thread::spawn(move || {
        session.work(&material).expect("a handshake");
        (session, material)
    })
    .join()
    .expect("no panic");
    let mut pairing = Pairing {
        client,
        session,
        material,
    };
    pairing.carry_out();
    pairing.open(1 << 20);
}

#[test]
fn nothing_is_computed_before_the_whole_hello_and_its_work() {
    let house = House::new();
    let mut pairing = Pairing::new(&house);
    let hello = pairing.of_client();
    let session = &mut pairing.session;
    let (start, end) = hello.split_at(hello.len() - 1);
    assert_eq!(session.receive(&mut &start[..]), Ok(Progress::Handshake));
    assert_eq!(session.work(&pairing.material), Ok(Progress::Handshake));
    assert_eq!(session.receive(&mut &end[..]), Ok(Progress::Work));
    assert!(!session.has_to_send() && session.variables().is_none());
    assert_eq!(session.write(&[b"too early"]), 0);
    assert_eq!(session.work(&pairing.material), Ok(Progress::Handshake));
    assert!(session.has_to_send());
    assert_eq!(session.write(&[b"too early"]), 0);
}

#[test]
fn head_and_body_are_one_record() {
    let house = House::new();
    let mut pairing = Pairing::new(&house).open(1 << 20);
    assert_eq!(
        pairing
            .session
            .write(&[b"HTTP/1.1 200 OK\r\n\r\n", b"", b"hello"]),
        24
    );
    let wire = pairing.of_server();
    assert_eq!(records(&wire), [ContentType::ApplicationData]);
    let plain = give(&mut pairing.client, &wire).expect("records");
    assert_eq!(plain, b"HTTP/1.1 200 OK\r\n\r\nhello");
}

#[test]
fn much_goes_both_ways_and_only_so_much_waits() {
    let house = House::new();
    let mut pairing = Pairing::new(&house).open(1 << 20);
    let much: Vec<u8> = (0..300_000_u32)
        .map(|number| (number % 251) as u8)
        .collect();
    let mut got = Vec::new();
    let mut sent = 0;
    while sent < much.len() {
        let taken = pairing.session.write(&[&much[sent..]]);
        assert!(taken > 0 && taken <= UNSENT_BYTES, "{taken}");
        sent += taken;
        if sent < much.len() {
            assert_eq!(pairing.session.write(&[b"no more"]), 0);
        }
        let wire = pairing.of_server();
        got.extend(give(&mut pairing.client, &wire).expect("records"));
    }
    assert!(got == much);
    let mut wire = Vec::new();
    for piece in much.chunks(16 * 1024) {
        pairing.client.writer().write_all(piece).expect("room");
        wire.extend(pairing.of_client());
    }
    let mut left = wire.as_slice();
    let mut got = Vec::new();
    while !left.is_empty() {
        let before = left.len();
        assert_eq!(pairing.session.receive(&mut left), Ok(Progress::Open));
        assert!(matches!(pairing.session.read(&mut got), Plain::Bytes(_)) || left.len() < before);
    }
    assert_eq!(pairing.session.read(&mut got), Plain::Blocked);
    assert!(got == much);
}

#[test]
fn an_end_that_was_said_is_told_from_one_that_was_not() {
    let house = House::new();
    for is_said in [true, false] {
        let mut pairing = Pairing::new(&house).open(1 << 20);
        pairing.client.writer().write_all(b"bye").expect("room");
        if is_said {
            pairing.client.send_close_notify();
        }
        pairing.carry_in(1 << 20).expect("records");
        pairing.session.end();
        let mut plain = Vec::new();
        assert_eq!(pairing.session.read(&mut plain), Plain::Bytes(3));
        let expected = if is_said {
            Plain::End
        } else {
            Plain::Truncated
        };
        assert_eq!(pairing.session.read(&mut plain), expected);
        // Our side may still be sent.
        assert_eq!(pairing.session.write(&[b"ok"]), 2);
        pairing.session.close();
        let wire = pairing.of_server();
        assert_eq!(give(&mut pairing.client, &wire), Ok(b"ok".to_vec()));
        assert_eq!(
            pairing.client.reader().read(&mut [0]).expect("a clean end"),
            0
        );
    }
}

#[test]
fn what_comes_behind_the_end_is_nothing() {
    let house = House::new();
    let mut pairing = Pairing::new(&house).open(1 << 20);
    pairing.client.send_close_notify();
    pairing.carry_in(1 << 20).expect("records");
    for mut more in [&b"more"[..], &[23, 3, 3, 0, 1, 0]] {
        assert_eq!(pairing.session.receive(&mut more), Ok(Progress::Open));
        assert!(more.is_empty());
    }
    assert_eq!(pairing.session.read(&mut Vec::new()), Plain::End);
}

/// Two hours ago a client was trusted, which resumes its session now. Answers why it is not let in, and what it sees.
fn resumed(house: &House, client: ClientConfig) -> (Failure, Pairing) {
    let mut config = house.config(&["example.org"]);
    config.clients = crate::Clients::Required(house.trust());
    let client = Arc::new(client);
    let mut pairing = Pairing::with(house, config);
    let begun = begin(&pairing.material.served(), &client, "example.org", b"").expect("a hello");
    let mut then = (*begun.choice.config).clone();
    then.time_provider = Arc::new(Ago(2 * HOUR));
    begun.finish_with(Arc::new(then)).expect("a handshake");
    let name = ServerName::try_from("example.org").expect("a name");
    pairing.client = ClientConnection::new(client, name).expect("a client");
    let failure = loop {
        match pairing.carry_in(1 << 20) {
            Ok(()) => pairing.carry_out(),
            Err(failure) => break failure,
        }
    };
    assert_eq!(
        pairing.client.handshake_kind(),
        Some(HandshakeKind::Resumed)
    );
    (failure, pairing)
}

fn has_expired(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Broken(Error::InvalidCertificate(
            CertificateError::ExpiredContext { .. }
        ))
    )
}

#[test]
fn a_session_ends_with_its_client_s_certificate() {
    let house = House::new();
    let mut client = params(&[]);
    client.not_after = (SystemTime::now() - HOUR).into();
    let (failure, mut pairing) = resumed(&house, house.client_with(&client));
    assert!(has_expired(&failure), "{failure:?}");
    let wire = pairing.of_server();
    assert_eq!(give(&mut pairing.client, &wire), Ok(Vec::new()));
    assert_eq!(
        pairing.client.reader().read(&mut [0]).expect("a clean end"),
        0
    );
    assert_eq!(pairing.session.write(&[b"nothing"]), 0);
}

#[test]
fn a_session_ends_with_the_authority_between() {
    let house = House::new();
    let mut between = params(&[]);
    between.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    between.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    between.not_after = (SystemTime::now() - HOUR).into();
    let (between_key, key) = (new_key(), new_key());
    let between_der = house.sign(&between, &between_key).der().clone();
    let issuer = Issuer::new(between, between_key);
    let leaf = params(&[]).signed_by(&key, &issuer).expect("signed");
    let chain = vec![leaf.der().clone(), between_der];
    let (failure, _) = resumed(&house, house.client_with_chain(chain, &key));
    assert!(has_expired(&failure), "{failure:?}");
}

/// A clock that is slow.
#[derive(Debug)]
struct Ago(Duration);

impl TimeProvider for Ago {
    fn current_time(&self) -> Option<UnixTime> {
        let now = UnixTime::now().as_secs();
        Some(UnixTime::since_unix_epoch(Duration::from_secs(
            now - self.0.as_secs(),
        )))
    }
}

#[test]
fn plain_text_is_left_as_it_is() {
    let mut request = b"GET / HTTP/1.1\r\n".as_slice();
    assert_eq!(Session::new().receive(&mut request), Err(Failure::Plain));
    assert_eq!(request, b"GET / HTTP/1.1\r\n");
}

#[test]
fn who_breaks_a_rule_is_told_by_an_alert() {
    let house = House::new();
    let mut session = Session::new();
    // A record of a handshake with a message that is none.
    let failure = session.receive(&mut [22, 3, 3, 0, 4, 2, 0, 0, 0].as_slice());
    assert!(matches!(failure, Err(Failure::Broken(_))), "{failure:?}");
    let mut wire = Vec::new();
    session.send(&mut wire).expect("a buffer takes all");
    assert_eq!(records(&wire), [ContentType::Alert]);
    assert!(session.receive(&mut [22].as_slice()).is_err());

    let mut pairing = Pairing::with(
        &house,
        TlsConfig {
            protocols: vec![b"http/1.1".to_vec()],
            unknown_name: crate::UnknownName::Refuse,
            ..house.config(&["other.test"])
        },
    );
    assert!(pairing.carry_in(1 << 20).is_err());
    let wire = pairing.of_server();
    let told = give(&mut pairing.client, &wire);
    assert_eq!(
        told,
        Err(Error::AlertReceived(AlertDescription::AccessDenied))
    );
}

#[test]
fn a_hello_that_never_ends_is_given_up() {
    let mut session = Session::new();
    let mut taken = 0_usize;
    // Handshake records that belong to one ClientHello of 16 MiB.
    let mut record = vec![22, 3, 3, 0x40, 0];
    record.extend([1, 0xff, 0xff, 0xff]);
    record.resize(5 + 0x4000, 0);
    loop {
        let mut wire = record.as_slice();
        match session.receive(&mut wire) {
            Ok(Progress::Handshake) => taken += record.len(),
            other => {
                assert!(matches!(other, Err(Failure::Broken(_))), "{other:?}");
                break;
            }
        }
        assert!(taken < 256 * 1024, "bounded");
        record[5..9].fill(0);
    }
}

#[test]
fn a_hello_in_records_of_a_byte_is_bounded_by_their_sum() {
    let mut session = Session::new();
    // A length that would be borne, and records whose heads are most of what is buffered.
    let mut wire: Vec<u8> = [1, 0, 0xf0, 0]
        .iter()
        .flat_map(|byte| [22, 3, 3, 0, 1, *byte])
        .collect();
    let mut taken = 0;
    let failure = loop {
        match session.receive(&mut wire.as_slice()) {
            Ok(progress) => assert_eq!(progress, Progress::Handshake),
            Err(failure) => break failure,
        }
        taken += wire.len();
        wire = [22, 3, 3, 0, 1, 0].repeat(256);
        assert!(taken < 256 * 1024, "bounded");
    };
    assert_eq!(failure.to_string(), "the ClientHello is too long");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_borne(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400), is_tls in proptest::bool::ANY) {
        let mut session = Session::new();
        let mut all = if is_tls { vec![22, 3, 1] } else { Vec::new() };
        all.extend(bytes);
        let mut wire = all.as_slice();
        let _ = session.receive(&mut wire);
        session.end();
        assert!(matches!(session.read(&mut Vec::new()), Plain::Truncated));
    }
}
