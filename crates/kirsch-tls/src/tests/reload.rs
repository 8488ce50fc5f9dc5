//! New files take the place of old ones while handshakes go on.

use std::sync::atomic::{AtomicBool, Ordering};

use rustls::HandshakeKind;

use super::*;
use crate::{Changed, Clients, Trouble};

fn first(material: &Material) -> String {
    let served = material.served();
    let pair = served.pairs().next().expect("a pair");
    pair.fingerprint().to_owned()
}

#[test]
fn a_new_pair_is_served_and_an_old_connection_goes_on() {
    let house = House::new();
    let material = load(house.config(&["example.org"]));
    assert_eq!(material.reload(), Ok(Changed::Nothing));
    let client = Arc::new(house.client());
    let mut old = met(&material.served(), &client, "example.org");
    house.pair("server", &["example.org"]);
    assert!(matches!(material.reload(), Ok(Changed::Replaced(_))));
    assert_eq!(material.reload(), Ok(Changed::Nothing));
    let new = met(&material.served(), &Arc::new(house.client()), "example.org");
    assert_eq!(new.pair.fingerprint(), first(&material));
    assert_ne!(old.pair.fingerprint(), new.pair.fingerprint());
    old.server.send_close_notify();
    carry(&mut old.server, &mut old.client).expect("it still works");
}

#[test]
fn a_bad_pair_keeps_the_old_one_and_is_said_once() {
    let house = House::new();
    let material = load(house.config(&["example.org"]));
    let good = first(&material);
    let other_key = new_key().serialize_pem();
    house.write("server.key", &other_key);
    let error = material.reload().expect_err("it does not match");
    assert_eq!(error.trouble, Trouble::Mismatch(house.path("server.crt")));
    for _ in 0..3 {
        assert_eq!(material.reload(), Ok(Changed::Nothing));
    }
    // Another content that is as bad is another error, even in the same words.
    house.write("server.key", new_key().serialize_pem());
    assert!(material.reload().is_err());
    // And another trouble is one too.
    house.write("server.key", &other_key[..40]);
    assert!(material.reload().is_err());
    std::fs::remove_file(house.path("server.key")).expect("it was there");
    let error = material.reload().expect_err("it is gone");
    assert_eq!(error.trouble, Trouble::Missing);
    assert_eq!(material.reload(), Ok(Changed::Nothing));
    assert_eq!(first(&material), good);
    met(&material.served(), &Arc::new(house.client()), "example.org");
    house.pair("server", &["example.org"]);
    assert!(matches!(material.reload(), Ok(Changed::Replaced(_))));
    assert_ne!(first(&material), good);
}

#[test]
fn links_that_are_exchanged_as_certbot_does_it_are_followed() {
    let house = House::new();
    let links = ["live.crt", "live.key"].map(|name| house.path(name));
    let point = |to: &PairFiles| {
        for (link, target) in links.iter().zip([&to.certificate, &to.key]) {
            let new = house.path("link.new");
            std::os::unix::fs::symlink(target, &new).expect("a link");
            std::fs::rename(&new, link).expect("exchanged");
        }
    };
    let pairs = ["archive1", "archive2"].map(|name| house.pair(name, &["example.org"]));
    point(&pairs[0]);
    let [certificate, key] = links.clone();
    let material = load(TlsConfig {
        pairs: vec![PairFiles {
            certificate,
            key,
            password: None,
            issuers: None,
        }],
        ..TlsConfig::default()
    });
    let before = first(&material);
    point(&pairs[1]);
    assert!(matches!(material.reload(), Ok(Changed::Replaced(_))));
    assert_ne!(first(&material), before);
}

#[test]
fn a_session_does_not_outlive_the_trust_in_its_client() {
    let house = House::new();
    let mut config = house.config(&["example.org"]);
    config.clients = Clients::Required(house.trust());
    let material = load(config);
    let client = Arc::new(house.client_with(&params(&[])));
    let kind = |material: &Material| {
        meet(&material.served(), &client, "example.org").map(|met| met.server.handshake_kind())
    };
    kind(&material).expect("trusted");
    assert_eq!(kind(&material), Ok(Some(HandshakeKind::Resumed)));
    // The authority is another one from now on.
    house.write("authority.crt", House::new().authority.pem());
    assert!(matches!(material.reload(), Ok(Changed::Replaced(_))));
    assert!(matches!(kind(&material), Err(Error::InvalidCertificate(_))));
}

#[test]
fn fifty_exchanges_under_handshakes_fail_none() {
    const EXCHANGES: usize = 50;
    let house = House::new();
    let material = load(house.config(&["example.org"]));
    let done = AtomicBool::new(false);
    let all = std::thread::scope(|scope| {
        let clients = [(), ()].map(|()| {
            scope.spawn(|| {
                let mut fingerprints = Vec::new();
                loop {
                    // Read before the handshake, so that there is one behind the last exchange too.
                    let is_last = done.load(Ordering::Acquire);
                    // Without sessions, so that each one needs the pair.
                    let met = met(&material.served(), &Arc::new(house.client()), "example.org");
                    let shown = met.client.peer_certificates().expect("a chain");
                    let shown = crate::certificate::fingerprint(&shown[0]);
                    assert_eq!(shown, met.pair.fingerprint());
                    fingerprints.push(shown);
                    if is_last {
                        break;
                    }
                }
                fingerprints
            })
        });
        for _ in 0..EXCHANGES {
            // In between the two do not match, as where certbot writes them.
            house.pair("server", &["example.org"]);
            assert!(matches!(material.reload(), Ok(Changed::Replaced(_))));
        }
        done.store(true, Ordering::Release);
        clients.map(|client| client.join().expect("no handshake has failed"))
    });
    let last = first(&material);
    for shown in all {
        assert_eq!(shown.last(), Some(&last));
    }
}
