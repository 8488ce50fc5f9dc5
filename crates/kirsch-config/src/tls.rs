//! The options of TLS: together they say with which files what is spoken where.
//!
//! Each fills a part of [`TlsOptions`] alone. What they come to is looked at when all are known: a certificate has a
//! key, an address that speaks https has a certificate, and so on.
//! Read next: `kirsch-tls`, which reads the files.

use std::path::PathBuf;
use std::time::Duration;

use kirsch_server::{
    Bind, CipherSuite, Clients, Config, MinimumVersion, PairFiles, Password, Scheme, Tls,
    TlsConfig, Trust, UnknownName,
};

use crate::bind::{Listen, listen_text};
use crate::error::Complaint;

/// What was typed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TlsOptions {
    /// Files with a certificate and its chain each.
    pub certificates: Vec<PathBuf>,
    /// Files with their keys, in the same order.
    pub keys: Vec<PathBuf>,
    /// The file with the password of the keys.
    pub password_file: Option<PathBuf>,
    /// The password itself.
    pub password: Option<Secret>,
    /// Whether the server makes a certificate for itself.
    pub self_signed: bool,
    /// The lowest version.
    pub minimum: MinimumVersion,
    /// The suites, the best first; empty for all that are good.
    pub suites: Vec<CipherSuite>,
    /// Whether clients bring certificates.
    pub client_certificates: ClientCertificates,
    /// Who signs these.
    pub client_authorities: Option<PathBuf>,
    /// What these have revoked.
    pub client_revocations: Vec<PathBuf>,
    /// What a client gets that asks for a name of no certificate.
    pub unknown_name: UnknownName,
    /// Whether what comes in the clear is sent to https.
    pub redirect: bool,
    /// For how long browsers shall use nothing but https.
    pub hsts: Option<Duration>,
}

/// Whether clients bring certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked.
    #[default]
    None,
    /// They may.
    Optional,
    /// They must.
    Required,
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// A complaint, and the option that it is about.
type About<T> = Result<T, (&'static str, Complaint)>;

impl TlsOptions {
    /// Puts into the configuration what was asked for.
    ///
    /// # Errors
    ///
    /// If it does not go together.
    pub(crate) fn apply(&self, listen: &[Listen], config: &mut Config) -> About<()> {
        let is_wanted = !self.certificates.is_empty() || self.self_signed;
        config.binds = binds(listen, is_wanted)?;
        if is_wanted {
            config.tls = Some(self.config(&config.binds)?);
            return Ok(());
        }
        let needless = [
            ("tls-key", !self.keys.is_empty()),
            (
                "tls-client-certs",
                self.client_certificates != ClientCertificates::None,
            ),
            ("tls-redirect", self.redirect),
            ("tls-hsts", self.hsts.is_some()),
        ];
        match needless.into_iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((option, _)) => Err((
                option,
                Complaint::new("there is no certificate", "set tls-cert too"),
            )),
        }
    }

    fn config(&self, binds: &[Bind]) -> About<Tls> {
        if self.redirect {
            let plain = |bind: &Bind| matches!(bind, Bind::Tcp(_));
            let secure = |bind: &Bind| matches!(bind, Bind::Tls(_));
            if !binds.iter().any(plain) || !binds.iter().any(secure) {
                let hint =
                    "bind one of each, for instance http://0.0.0.0:80 and https://0.0.0.0:443";
                let message = "leads from an address that speaks http to one that speaks https";
                return Err(("tls-redirect", Complaint::new(message, hint)));
            }
        }
        Ok(Tls {
            certificates: TlsConfig {
                pairs: self.pairs()?,
                self_signed: self.self_signed.then(Vec::new),
                minimum: self.minimum,
                suites: self.suites.iter().map(|suite| suite.suite).collect(),
                protocols: [b"http/1.1", b"http/1.0"].map(|it| it.to_vec()).to_vec(),
                unknown_name: self.unknown_name,
                clients: self.clients()?,
            },
            redirect: self.redirect,
            hsts: self.hsts,
        })
    }

    fn pairs(&self) -> About<Vec<PairFiles>> {
        let password = match (&self.password_file, &self.password) {
            (Some(_), Some(_)) => {
                let hint = "leave one of the two out";
                let message = "the password is given in tls-key-password too";
                return Err(("tls-key-password-file", Complaint::new(message, hint)));
            }
            (Some(file), None) => Some(Password::File(file.clone())),
            (None, Some(Secret(password))) => Some(Password::Value(password.clone())),
            (None, None) => None,
        };
        // One file may hold both.
        let keys = match self.keys.is_empty() {
            true => &self.certificates,
            false => &self.keys,
        };
        let (certificates, count) = (self.certificates.len(), keys.len());
        if certificates != count {
            let message = format!("there are {certificates} certificates and {count} keys");
            let hint = "give each certificate its key, in the same order";
            return Err(("tls-key", Complaint::new(message, hint)));
        }
        let pair = |(certificate, key): (&PathBuf, &PathBuf)| PairFiles {
            certificate: certificate.clone(),
            key: key.clone(),
            password: password.clone(),
            issuers: None,
        };
        Ok(self.certificates.iter().zip(keys).map(pair).collect())
    }

    fn clients(&self) -> About<Clients> {
        let needless = match &self.client_authorities {
            Some(_) => Some("tls-client-ca"),
            None if !self.client_revocations.is_empty() => Some("tls-client-crl"),
            None => None,
        };
        let kind = match (self.client_certificates, needless) {
            (ClientCertificates::None, None) => return Ok(Clients::Anonymous),
            (ClientCertificates::None, Some(option)) => {
                let message = "clients are not asked for certificates";
                let hint = "set tls-client-certs to optional or required";
                return Err((option, Complaint::new(message, hint)));
            }
            (ClientCertificates::Optional, _) => Clients::Optional,
            (ClientCertificates::Required, _) => Clients::Required,
        };
        let Some(authorities) = self.client_authorities.clone() else {
            let message = "nobody is named who signs certificates of clients";
            let hint = "set tls-client-ca to the file of your authority";
            return Err(("tls-client-certs", Complaint::new(message, hint)));
        };
        Ok(kind(Trust {
            authorities,
            revocations: self.client_revocations.clone(),
        }))
    }
}

/// What is spoken where: TLS at every address of TCP, or where the addresses say so, at those that do.
fn binds(listen: &[Listen], with_tls: bool) -> About<Vec<Bind>> {
    let says_scheme = |listen: &Listen| listen.scheme.is_some();
    if let Some(secure) = listen.iter().find(|it| it.scheme == Some(Scheme::Https))
        && !with_tls
    {
        let message = format!("{} has no certificate", listen_text(secure));
        let hint = "set tls-cert and tls-key; for development tls-self-signed";
        return Err(("bind", Complaint::new(message, hint)));
    }
    let is_tcp = |listen: &&Listen| matches!(listen.bind, Bind::Tcp(_) | Bind::Descriptor(_));
    if with_tls
        && listen.iter().any(says_scheme)
        && let Some(silent) = listen.iter().filter(is_tcp).find(|it| !says_scheme(it))
        && let Bind::Tcp(addr) = silent.bind
    {
        let message = format!("{addr} does not say what is spoken there, and others do");
        let hint = format!("write https://{addr} or http://{addr}");
        return Err(("bind", Complaint::new(message, hint)));
    }
    let none_says = !listen.iter().any(says_scheme);
    let bind = |listen: &Listen| {
        let secure = match listen.scheme {
            Some(scheme) => scheme == Scheme::Https,
            None => with_tls && none_says,
        };
        match &listen.bind {
            Bind::Tcp(addr) if secure => Bind::Tls(*addr),
            Bind::Descriptor(number) if secure => Bind::TlsDescriptor(*number),
            bind => bind.clone(),
        }
    };
    Ok(listen.iter().map(bind).collect())
}
