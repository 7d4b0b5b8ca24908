//! The certificate of the metrics, read again when its files change: OpenShift's service CA replaces it in place, long
//! before it runs out. The files are read every few seconds rather than watched: a Secret is mounted through symbolic
//! links that are swapped, which inotify on the files does not show.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use rustls::{
    ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::sync::watch;

use crate::controller::http::connections::Tls;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(5);

/// The files of a certificate chain and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
}

/// The content of the files; compared to see whether they have changed.
type Pem = (Vec<u8>, Vec<u8>);

impl Files {
    async fn read(&self) -> io::Result<Pem> {
        Ok((tokio::fs::read(&self.cert).await?, tokio::fs::read(&self.key).await?))
    }

    /// The configuration of TLS from 1.2 on, now and after each change. The old one stays while the new one can't be used.
    pub(super) async fn serve(self) -> io::Result<Tls> {
        let mut current = self.read().await?;
        let (sender, receiver) = watch::channel(Arc::new(config(&current)?));
        tokio::spawn(async move {
            let mut every = tokio::time::interval(EVERY);
            let mut said = false;
            while !sender.is_closed() {
                every.tick().await;
                let renewed = match self.read().await {
                    Ok(now) if now == current => continue,
                    Ok(now) => config(&now).map(|config| (now, config)),
                    Err(error) => Err(error),
                };
                match renewed {
                    Ok((now, config)) => {
                        (current, said) = (now, false);
                        sender.send_replace(Arc::new(config));
                        tracing::info!(cert = %self.cert.display(), "the certificate of the metrics was renewed");
                    }
                    Err(error) if !said => {
                        said = true;
                        tracing::warn!(%error, cert = %self.cert.display(), "keeping the old certificate of the metrics: the new one cannot be used");
                    }
                    Err(_) => {}
                }
            }
        });
        Ok(receiver)
    }
}

fn config((cert, key): &Pem) -> io::Result<ServerConfig> {
    let chain = CertificateDer::pem_slice_iter(cert).collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(io::Error::other)?;
    ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(io::Error::other)
}
