//! An authority, certificates and files to try things with, and handshakes without a socket.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    RevokedCertParams, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::Acceptor;
use rustls::{ClientConfig, ClientConnection, Error, RootCertStore, ServerConnection};
use tempfile::TempDir;

use crate::{Choice, Material, Pair, PairFiles, Served, TlsConfig, Trust};

mod clients;
mod handshakes;
mod loading;
mod reload;
mod sessions;
mod variables;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An authority, and a folder for what it signs.
struct House {
    authority: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// What a handshake came to.
struct Met {
    client: ClientConnection,
    server: ServerConnection,
    pair: Arc<Pair>,
}

impl House {
    fn new() -> House {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "The authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        House {
            authority: CertifiedIssuer::self_signed(params, new_key()).expect("an authority"),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and answers its path.
    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a file");
        path
    }

    fn sign(&self, params: &CertificateParams, key: &KeyPair) -> rcgen::Certificate {
        params.signed_by(key, &self.authority).expect("signed")
    }

    /// A pair for these names, in files.
    fn pair(&self, file: &str, names: &[&str]) -> PairFiles {
        self.pair_of(file, &params(names), &new_key())
    }

    fn pair_of(&self, file: &str, params: &CertificateParams, key: &KeyPair) -> PairFiles {
        let certificate = self.sign(params, key).pem();
        PairFiles {
            certificate: self.write(&format!("{file}.crt"), certificate),
            key: self.write(&format!("{file}.key"), key.serialize_pem()),
            password: None,
            issuers: None,
        }
    }

    fn config(&self, names: &[&str]) -> TlsConfig {
        TlsConfig {
            pairs: vec![self.pair("server", names)],
            ..TlsConfig::default()
        }
    }

    /// The authority as the only one that clients' certificates are believed from.
    fn trust(&self) -> Trust {
        Trust {
            authorities: self.write("authority.crt", self.authority.pem()),
            revocations: Vec::new(),
        }
    }

    /// A list that revokes these, and is good until then.
    fn revocations(&self, revoked: &[SerialNumber], until: SystemTime) -> Vec<u8> {
        let since = SystemTime::now() - 20 * DAY;
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: serial.clone(),
            revocation_time: since.into(),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: since.into(),
            next_update: until.into(),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.authority).expect("a list");
        list.pem().expect("PEM").into_bytes()
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.authority.der().clone())
            .expect("an authority");
        roots
    }

    /// A client that believes the authority and brings no certificate.
    fn client(&self) -> ClientConfig {
        ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(self.roots())
            .with_no_client_auth()
    }

    /// A client that brings a certificate.
    fn client_with(&self, params: &CertificateParams) -> ClientConfig {
        let key = new_key();
        let chain = vec![self.sign(params, &key).der().clone()];
        self.client_with_chain(chain, &key)
    }

    fn client_with_chain(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: &KeyPair,
    ) -> ClientConfig {
        ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(self.roots())
            .with_client_auth_cert(chain, PrivatePkcs8KeyDer::from(key.serialize_der()).into())
            .expect("a pair")
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn new_key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key")
}

/// Of a certificate for servers and clients, good for now.
fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Ann");
    params.not_before = (SystemTime::now() - 10 * DAY).into();
    params.not_after = (SystemTime::now() + 10 * DAY).into();
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params
}

fn load(config: TlsConfig) -> Material {
    Material::load(config).expect("good files").0
}

/// A handshake whose ClientHello has arrived.
struct Begun {
    client: ClientConnection,
    accepted: rustls::server::Accepted,
    choice: Choice,
}

/// The first half of a handshake, with early data if the client may send some.
fn begin(
    served: &Served,
    client: &Arc<ClientConfig>,
    name: &str,
    early: &[u8],
) -> Result<Begun, Error> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut client = ClientConnection::new(Arc::clone(client), name).expect("a client");
    if !early.is_empty() {
        let mut writer = client.early_data().expect("a ticket that allows it");
        writer.write_all(early).expect("room");
    }
    let mut wire = Vec::new();
    client.write_tls(&mut wire).expect("a buffer takes all");
    let mut acceptor = Acceptor::default();
    acceptor
        .read_tls(&mut wire.as_slice())
        .expect("a buffer gives all");
    let accepted = acceptor
        .accept()
        .map_err(|(err, _)| err)?
        .expect("a whole ClientHello");
    let choice = served.choose(&accepted.client_hello());
    Ok(Begun {
        client,
        accepted,
        choice,
    })
}

impl Begun {
    fn finish(self) -> Result<Met, Error> {
        let config = Arc::clone(&self.choice.config);
        self.finish_with(config)
    }

    /// The second half, tickets included.
    fn finish_with(mut self, config: Arc<rustls::ServerConfig>) -> Result<Met, Error> {
        let mut server = self
            .accepted
            .into_connection(config)
            .map_err(|(err, _)| err)?;
        loop {
            let moved =
                carry(&mut server, &mut self.client)? + carry_back(&mut self.client, &mut server)?;
            if moved == 0 {
                break;
            }
        }
        assert!(!self.client.is_handshaking() && !server.is_handshaking());
        Ok(Met {
            client: self.client,
            server,
            pair: self.choice.pair.expect("a pair, since it has worked"),
        })
    }
}

/// A whole handshake over buffers.
fn meet(served: &Served, client: &Arc<ClientConfig>, name: &str) -> Result<Met, Error> {
    begin(served, client, name, b"")?.finish()
}

/// What a handshake without a client's mistake comes to.
fn met(served: &Served, client: &Arc<ClientConfig>, name: &str) -> Met {
    meet(served, client, name).expect("a handshake")
}

fn carry(server: &mut ServerConnection, client: &mut ClientConnection) -> Result<usize, Error> {
    let mut wire = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut wire).expect("a buffer takes all");
    }
    let moved = wire.len();
    let mut wire = wire.as_slice();
    while !wire.is_empty() {
        read(wire.len(), client.read_tls(&mut wire));
        client.process_new_packets()?;
    }
    Ok(moved)
}

fn carry_back(
    client: &mut ClientConnection,
    server: &mut ServerConnection,
) -> Result<usize, Error> {
    let mut wire = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut wire).expect("a buffer takes all");
    }
    let moved = wire.len();
    let mut wire = wire.as_slice();
    while !wire.is_empty() {
        read(wire.len(), server.read_tls(&mut wire));
        server.process_new_packets()?;
    }
    Ok(moved)
}

fn read(there: usize, count: io::Result<usize>) {
    assert!(there > 0 && count.expect("a buffer gives all") > 0);
}

/// The message of an error, without the folder that differs each time.
fn said(error: &crate::TlsError, folder: &Path) -> String {
    error
        .to_string()
        .replace(&format!("{}/", folder.display()), "")
}
