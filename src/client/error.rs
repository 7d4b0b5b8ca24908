//! Why there is no connection to a cluster: each error once, in plain words, with what to do about it. No text of the client
//! library is passed on that could contain a secret of the kubeconfig.

use std::{io::ErrorKind, process::ExitStatus};

use kube::{
    Config,
    client::AuthError,
    config::{InClusterError, KubeconfigError, LoadDataError},
};

use crate::escape::{causes, escape, truncate};

/// Contexts that an error names at most.
const MOST_CONTEXTS: usize = 10;
/// Bytes of an answer that an error shows at most: it may be a page of a proxy.
const MOST_BYTES: usize = 500;

/// The address or the credentials of the cluster cannot be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The kubeconfig, or something in it.
    #[error("{place}: {problem}; {advice}")]
    Kubeconfig {
        /// Its path, and the variable that names it.
        place: String,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        advice: String,
    },
    /// This process runs in a Pod, whose account is incomplete.
    #[error("the Pod's account cannot be used: {}; use --kubeconfig or KUBECONFIG", causes(.0))]
    Pod(InClusterError),
    /// Neither a kubeconfig nor a Pod's account.
    #[error("no cluster is configured; use --kubeconfig or KUBECONFIG")]
    None,
    /// The proxy. Its URL may contain a password, so it is not shown.
    #[error(
        "the proxy cannot be used: expected http://HOST:PORT or https:// in proxy-url of the kubeconfig, else in HTTPS_PROXY"
    )]
    Proxy,
    /// The credentials or the certificates in the kubeconfig.
    #[error("{server}: {}; {}", of_client(source, plugin.as_deref()), advice(source))]
    Client {
        /// The cluster's address.
        server: String,
        /// The command of the credential plugin, if there is one.
        plugin: Option<String>,
        /// What is wrong.
        source: Box<kube::Error>,
    },
}

/// A credential plugin has failed. The library's own error would contain its arguments, its environment and its output.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// It exited with this status.
    #[error("the credential plugin of the kubeconfig failed ({0})")]
    Failed(ExitStatus),
    /// Its output is not a credential.
    #[error("the credential plugin of the kubeconfig printed no ExecCredential")]
    NoCredential,
}

impl ClusterError {
    /// What is wrong with the kubeconfig at `place`, which has these contexts.
    pub(super) fn kubeconfig(place: String, source: &KubeconfigError, contexts: &[String]) -> Self {
        Self::Kubeconfig { place, problem: of_kubeconfig(source), advice: advice_on_kubeconfig(source, contexts) }
    }

    /// An entry of the kubeconfig that the library accepts and no connection can be made with.
    pub(super) fn entry(place: String, problem: String) -> Self {
        Self::Kubeconfig { place, problem, advice: FIX_ENTRY.to_owned() }
    }

    /// A kubeconfig without a context.
    pub(super) fn no_context(place: String) -> Self {
        Self::Kubeconfig { place, problem: "has no context".to_owned(), advice: ANOTHER.to_owned() }
    }
}

const ANOTHER: &str = "name another kubeconfig with --kubeconfig";
const FIX_ENTRY: &str = "fix that entry, or name another context with --context";

fn of_kubeconfig(error: &KubeconfigError) -> String {
    let of_data = |entry: &str, error: &LoadDataError| match error {
        LoadDataError::DecodeBase64(_) => format!("{entry}-data is not base64"),
        LoadDataError::ReadFile(error, path) => {
            format!("{entry} {} cannot be read: {error}", escape(&path.to_string_lossy()))
        }
        LoadDataError::NoBase64DataOrFile => format!("{entry} is missing"),
    };
    match error {
        KubeconfigError::CurrentContextNotSet => "has no current context".to_owned(),
        KubeconfigError::LoadContext(name) if name.is_empty() => "has no current context".to_owned(),
        KubeconfigError::LoadContext(name) => format!("has no context {}", escape(name)),
        KubeconfigError::LoadClusterOfContext(name) => {
            format!("has no cluster {}, which the context names", escape(name))
        }
        KubeconfigError::ReadConfig(error, _) => format!("cannot be read: {error}"),
        KubeconfigError::Parse(error) => {
            let problem = causes(error);
            format!("is not a kubeconfig: {}", problem.strip_prefix("error: ").unwrap_or(&problem))
        }
        KubeconfigError::MissingClusterUrl => "the cluster of the context has no server".to_owned(),
        KubeconfigError::ParseClusterUrl(_) => NO_URL.to_owned(),
        KubeconfigError::LoadCertificateAuthority(error) => of_data("certificate-authority", error),
        KubeconfigError::LoadClientCertificate(error) => of_data("client-certificate", error),
        KubeconfigError::LoadClientKey(error) => of_data("client-key", error),
        KubeconfigError::ParseCertificates(_) => NO_CERTIFICATE.to_owned(),
        KubeconfigError::KindMismatch => "names files of different kinds, which cannot be merged".to_owned(),
        KubeconfigError::ApiVersionMismatch => "names files of different versions, which cannot be merged".to_owned(),
        other => causes(other),
    }
}

/// A server that is no address.
pub(super) const NO_URL: &str = "the server of the cluster is not a URL: expected https://HOST:PORT";
/// A certificate authority without a certificate.
pub(super) const NO_CERTIFICATE: &str = "certificate-authority has no certificate in the PEM format";

fn advice_on_kubeconfig(error: &KubeconfigError, contexts: &[String]) -> String {
    match error {
        KubeconfigError::CurrentContextNotSet | KubeconfigError::LoadContext(_) if contexts.is_empty() => {
            format!("it has no context at all, so {ANOTHER}")
        }
        KubeconfigError::CurrentContextNotSet | KubeconfigError::LoadContext(_) => {
            let names: Vec<String> = contexts.iter().take(MOST_CONTEXTS).map(|name| escape(name)).collect();
            let more = match contexts.len() - names.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("name one that it has with --context: {}{more}", names.join(", "))
        }
        KubeconfigError::ReadConfig(error, _) if error.kind() == ErrorKind::NotFound => {
            "name a kubeconfig that exists with --kubeconfig".to_owned()
        }
        KubeconfigError::ReadConfig(..) => "name a kubeconfig that you can read with --kubeconfig".to_owned(),
        KubeconfigError::Parse(_) => format!("fix it, or {ANOTHER}"),
        _ => FIX_ENTRY.to_owned(),
    }
}

/// The error of a credential plugin that would show what it printed.
pub(super) fn plugin(error: &AuthError) -> Option<PluginError> {
    match error {
        AuthError::AuthExecRun { out, .. } => Some(PluginError::Failed(out.status)),
        AuthError::AuthExecParse(_) | AuthError::ExecPluginFailed => Some(PluginError::NoCredential),
        _ => None,
    }
}

fn of_credentials(error: &AuthError) -> String {
    if let Some(plugin) = plugin(error) {
        return plugin.to_string();
    }
    match error {
        AuthError::AuthExecStart(error) => {
            format!("the credential plugin of the kubeconfig cannot be started: {error}")
        }
        AuthError::MissingCommand => "the credential plugin of the kubeconfig has no command".to_owned(),
        AuthError::ReadTokenFile(error, path) => {
            format!("tokenFile {} of the kubeconfig cannot be read: {error}", escape(&path.to_string_lossy()))
        }
        AuthError::InvalidBearerToken(_) => {
            "the token of the kubeconfig contains characters that no token has".to_owned()
        }
        other => format!("the credentials of the kubeconfig cannot be used: {}", causes(other)),
    }
}

/// The command of the kubeconfig's credential plugin.
#[must_use]
pub fn plugin_command(config: &Config) -> Option<String> {
    config.auth_info.exec.as_ref()?.command.clone()
}

/// Names the plugin that cannot be started: it is probably not installed.
fn of_client(error: &kube::Error, plugin: Option<&str>) -> String {
    match (error, plugin) {
        (kube::Error::Auth(AuthError::AuthExecStart(error)), Some(command)) => {
            format!("the credential plugin {} of the kubeconfig cannot be started: {error}", escape(command))
        }
        _ => problem(error),
    }
}

/// Why a client or its request failed, without the names of the client library's layers.
#[must_use]
pub fn problem(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => match (status.message.trim(), status.reason.as_str()) {
            ("", "") => format!("HTTP {}", status.code),
            ("", reason) => escape(reason),
            (message, _) => escape(&truncate(message.to_owned(), MOST_BYTES)),
        },
        kube::Error::Auth(error) => of_credentials(error),
        kube::Error::InferKubeconfig(error) => of_kubeconfig(error),
        kube::Error::RustlsTls(error) => {
            format!("the certificates of the kubeconfig cannot be used: {}", causes(error))
        }
        kube::Error::SerdeError(error) => format!("the answer is not that of an API server: {error}"),
        other => of_request(&causes(other)),
    }
}

/// What the text of a failed request means.
fn of_request(text: &str) -> String {
    if let Some((_, why)) = text.split_once("invalid peer certificate: ") {
        return match why {
            "UnknownIssuer" => "its certificate is not signed by a known certificate authority".to_owned(),
            why => format!("its certificate cannot be verified: {why}"),
        };
    }
    let text = without_layers(text);
    match text.strip_prefix("tunnel error: ") {
        None => text.to_owned(),
        Some("unsuccessful") => "the proxy refuses to connect to it".to_owned(),
        Some(why) => match why.strip_prefix("failed to create underlying connection: ") {
            Some(why) => format!("the proxy cannot be reached: {}", without_layers(why)),
            None => format!("the proxy refuses to connect to it: {why}"),
        },
    }
}

fn without_layers(text: &str) -> &str {
    let layers = [
        "ServiceError: ",
        "client error (Connect): ",
        "client error (SendRequest): ",
        "tcp connect error: ",
        "dns error: ",
    ];
    layers.iter().fold(text, |text, layer| text.strip_prefix(layer).unwrap_or(text))
}

/// What to do about a client or a request that failed.
#[must_use]
pub fn advice(error: &kube::Error) -> &'static str {
    match error {
        kube::Error::Auth(error) if plugin(error).is_some() => LOG_IN,
        kube::Error::Auth(AuthError::AuthExecStart(_)) => {
            "install it, or fix users[].user.exec.command in the kubeconfig"
        }
        kube::Error::Auth(_) | kube::Error::InferKubeconfig(_) | kube::Error::RustlsTls(_) => {
            "fix the kubeconfig, or name another with --kubeconfig"
        }
        kube::Error::SerdeError(_) => {
            "check the server in the kubeconfig, and that no proxy or login page answers instead"
        }
        other => {
            let text = causes(other);
            if text.contains("certificate not valid for name") {
                "name the server in the kubeconfig as its certificate does, or set tls-server-name there"
            } else if text.contains("certificate expired") || text.contains("certificate not valid yet") {
                "check the clock of this machine, and the certificate of the server"
            } else if text.contains("invalid peer certificate: ") {
                "compare certificate-authority in the kubeconfig with the certificate of the server"
            } else if text.contains("tunnel error: ") {
                "check the proxy, which is proxy-url of the kubeconfig, else HTTPS_PROXY"
            } else if text.contains("credential plugin") {
                LOG_IN
            } else {
                "check the network and the kubeconfig"
            }
        }
    }
}

const LOG_IN: &str = "log in again; `kubectl get --raw /version` shows what the plugin prints";

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::refused(
        "ServiceError: client error (Connect): tcp connect error: Connection refused (os error 111)",
        "Connection refused (os error 111)"
    )]
    #[case::name(
        "ServiceError: client error (Connect): dns error: failed to lookup address information: Name or service not known",
        "failed to lookup address information: Name or service not known"
    )]
    #[case::closed(
        "client error (SendRequest): connection closed before message completed",
        "connection closed before message completed"
    )]
    #[case::authority(
        "ServiceError: client error (Connect): invalid peer certificate: UnknownIssuer",
        "its certificate is not signed by a known certificate authority"
    )]
    #[case::another_name(
        "client error (Connect): invalid peer certificate: certificate not valid for name \"a\"",
        "its certificate cannot be verified: certificate not valid for name \"a\""
    )]
    #[case::proxy_is_gone(
        "client error (Connect): tunnel error: failed to create underlying connection: tcp connect error: Connection refused (os error 111)",
        "the proxy cannot be reached: Connection refused (os error 111)"
    )]
    #[case::proxy_refuses("client error (Connect): tunnel error: unsuccessful", "the proxy refuses to connect to it")]
    #[case::proxy_wants_a_password(
        "client error (Connect): tunnel error: proxy authorization required",
        "the proxy refuses to connect to it: proxy authorization required"
    )]
    #[case::of_our_own("no answer within 10s", "no answer within 10s")]
    fn a_failed_request_is_described_once(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(of_request(text), expected);
    }

    #[test]
    fn of_many_contexts_only_some_are_named() {
        let contexts: Vec<String> = (1..=12).map(|number| format!("c{number}")).collect();
        let error = KubeconfigError::LoadContext("nope".to_owned());
        let error = ClusterError::kubeconfig("a".to_owned(), &error, &contexts);
        assert_eq!(
            error.to_string(),
            "a: has no context nope; name one that it has with --context: c1, c2, c3, c4, c5, c6, c7, c8, c9, c10 and 2 more"
        );
    }
}
