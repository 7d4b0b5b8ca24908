//! The connection of every command to a cluster: which one, as which user, and through which proxy. Errors contain no
//! secret of a kubeconfig.

mod connection;
pub mod discovery;
mod error;
pub mod rate_limit;
mod stack;

use std::{env, io::ErrorKind, net::IpAddr, path::PathBuf};

use clap::{Args, builder::OsStringValueParser, builder::TypedValueParser as _};
use http::{HeaderValue, Uri, header::USER_AGENT};
use hyper_util::client::proxy::matcher::Matcher;
use kube::config::{Config, InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError, NamedContext};

pub use self::{
    error::{ClusterError, PluginError, advice, plugin_command, problem},
    stack::{Builder, builder},
};
use crate::escape::escape;

/// The variable for `--kubeconfig`, in every command that connects to a cluster.
const KUBECONFIG_VARIABLE: &str = "UPGRADE_GATE_KUBECONFIG";
/// The variable for `--context`.
const CONTEXT_VARIABLE: &str = "UPGRADE_GATE_CONTEXT";

/// The cluster to connect to; without either flag, `KUBECONFIG`, `~/.kube/config` or the Pod's own account.
#[derive(Clone, Debug, Default, Args)]
pub struct ClusterArgs {
    /// Kubeconfig of the cluster, instead of `KUBECONFIG`, `~/.kube/config` or the Pod's own account
    #[arg(long, value_name = "FILE", env = KUBECONFIG_VARIABLE,
          value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig, instead of its current one
    #[arg(long, value_name = "NAME", env = CONTEXT_VARIABLE)]
    pub context: Option<String>,
}

impl ClusterArgs {
    /// The cluster that these flags name, else the variables name. For commands with `--from`: their flags do not read
    /// the variables themselves, because a variable that is set would then conflict with `--from`.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "here the environment is resolved")]
    pub fn of(kubeconfig: Option<&PathBuf>, context: Option<&String>) -> Self {
        Self {
            kubeconfig: kubeconfig.cloned().or_else(|| env::var_os(KUBECONFIG_VARIABLE).map(PathBuf::from)),
            context: context.cloned().or_else(|| env::var(CONTEXT_VARIABLE).ok()),
        }
    }

    /// The client's configuration. The user agent names this command, so the API server's audit log shows it.
    ///
    /// # Errors
    /// The kubeconfig cannot be read or lacks the context, or there is neither a kubeconfig nor a Pod's account.
    pub async fn resolve(&self, command: &str) -> Result<Config, ClusterError> {
        let mut config = self.connection().await?;
        let agent = HeaderValue::try_from(format!("upgrade-gate/{} ({command})", env!("CARGO_PKG_VERSION")));
        config.headers.extend(agent.ok().map(|agent| (USER_AGENT, agent)));
        Ok(config)
    }

    /// The contexts of the kubeconfig in its order. Of contexts that differ only in the namespace, the first: they name
    /// the same cluster and user.
    ///
    /// # Errors
    /// The kubeconfig can't be read, or has no context.
    pub fn contexts(&self) -> Result<Vec<String>, ClusterError> {
        let mut seen: Vec<(String, Option<String>)> = Vec::new();
        let is_new = |context: &NamedContext| {
            // A context that cannot be read is kept, so that its error is shown.
            let Some(context) = &context.context else { return true };
            let known = (context.cluster.clone(), context.user.clone());
            let is_new = !seen.contains(&known);
            seen.push(known);
            is_new
        };
        let contexts: Vec<String> =
            self.read()?.contexts.into_iter().filter(is_new).map(|context| context.name).collect();
        if contexts.is_empty() { Err(ClusterError::no_context(place(self.path()))) } else { Ok(contexts) }
    }

    /// An empty variable counts as not set.
    fn path(&self) -> Option<&PathBuf> {
        self.kubeconfig.as_ref().filter(|path| !path.as_os_str().is_empty())
    }

    fn read(&self) -> Result<Kubeconfig, ClusterError> {
        match self.path() {
            Some(path) => {
                Kubeconfig::read_from(path).map_err(|source| ClusterError::kubeconfig(place(Some(path)), &source, &[]))
            }
            None => Kubeconfig::read().map_err(|source| of_the_environment(&source)),
        }
    }

    async fn connection(&self) -> Result<Config, ClusterError> {
        let path = self.path();
        let context = self.context.as_ref().filter(|context| !context.is_empty());
        let config = match self.read() {
            Ok(kubeconfig) => of_kubeconfig(kubeconfig, path, context).await,
            Err(error) => Err(error),
        };
        match (path, context) {
            (None, None) => config.or_else(of_a_pod),
            _ => config,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that makes it")]
async fn of_kubeconfig(
    kubeconfig: Kubeconfig,
    path: Option<&PathBuf>,
    context: Option<&String>,
) -> Result<Config, ClusterError> {
    let proxy = proxy_of(&kubeconfig, context)?;
    let contexts: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
    let missing_user = missing_user(&kubeconfig, context);
    let options = KubeConfigOptions { context: context.cloned(), ..KubeConfigOptions::default() };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|source| ClusterError::kubeconfig(place(path), &source, &contexts))?;
    let entry = |problem: &str| Err(ClusterError::entry(place(path), problem.to_owned()));
    if let Some(user) = missing_user {
        return entry(&format!("has no user {}, which the context names", escape(&user)));
    }
    if !matches!(config.cluster_url.scheme_str(), Some("http" | "https")) {
        return entry(error::NO_URL);
    }
    if config.root_cert.as_ref().is_some_and(Vec::is_empty) {
        return entry(error::NO_CERTIFICATE);
    }
    config.proxy_url = proxy;
    Ok(config)
}

/// The user of the context, if the kubeconfig does not have it. The library would connect without credentials.
fn missing_user(kubeconfig: &Kubeconfig, context: Option<&String>) -> Option<String> {
    let name = context.or(kubeconfig.current_context.as_ref())?;
    let context = kubeconfig.contexts.iter().find(|context| context.name == *name)?;
    let user = context.context.as_ref()?.user.clone().filter(|user| !user.is_empty())?;
    (!kubeconfig.auth_infos.iter().any(|known| known.name == user)).then_some(user)
}

/// The kubeconfig as a person knows it: the path that a flag names, else the files that the environment names.
fn place(path: Option<&PathBuf>) -> String {
    let show = |path: &PathBuf| escape(&path.to_string_lossy());
    match (path, &files_of_the_environment()[..]) {
        (Some(path), _) => show(path),
        (None, []) => "~/.kube/config".to_owned(),
        (None, files) => format!("KUBECONFIG names {}", files.iter().map(show).collect::<Vec<_>>().join(" and ")),
    }
}

#[expect(clippy::disallowed_methods, reason = "here the environment is resolved")]
fn files_of_the_environment() -> Vec<PathBuf> {
    let variable = env::var_os("KUBECONFIG").unwrap_or_default();
    env::split_paths(&variable).filter(|path| !path.as_os_str().is_empty()).collect()
}

/// Finds the kubeconfig that cannot be read, if no flag names one.
fn of_the_environment(source: &KubeconfigError) -> ClusterError {
    let files = files_of_the_environment();
    let is_missing = match source {
        KubeconfigError::FindPath => true,
        KubeconfigError::ReadConfig(error, _) => error.kind() == ErrorKind::NotFound,
        _ => false,
    };
    if files.is_empty() && is_missing {
        return ClusterError::None;
    }
    let broken = files.iter().find_map(|path| Some((path, Kubeconfig::read_from(path).err()?)));
    match broken {
        Some((path, source)) => {
            ClusterError::kubeconfig(format!("KUBECONFIG names {}", escape(&path.to_string_lossy())), &source, &[])
        }
        None => ClusterError::kubeconfig(place(None), source, &[]),
    }
}

/// A Pod's own account, if there is no kubeconfig. A Pod connects to its own API server directly, without a proxy.
#[expect(clippy::disallowed_methods, reason = "the one place that makes it")]
fn of_a_pod(error: ClusterError) -> Result<Config, ClusterError> {
    if matches!(error, ClusterError::Proxy) {
        return Err(error);
    }
    Config::incluster().map_err(|pod| match (pod, error) {
        // Without its address in the environment, this is not a Pod.
        (InClusterError::ReadEnvironmentVariable(_), error) => error,
        (pod, ClusterError::None) => ClusterError::Pod(pod),
        (_, error) => error,
    })
}

/// The proxy to the cluster of that context. The library would compare `NO_PROXY` with the proxy's own host rather than
/// the cluster's, so it is evaluated here.
fn proxy_of(kubeconfig: &Kubeconfig, context: Option<&String>) -> Result<Option<Uri>, ClusterError> {
    let Some(name) = context.or(kubeconfig.current_context.as_ref()) else { return Ok(None) };
    let context = kubeconfig.contexts.iter().find(|context| context.name == *name);
    let Some(name) = context.and_then(|context| context.context.as_ref()).map(|context| &context.cluster) else {
        return Ok(None);
    };
    let cluster = kubeconfig.clusters.iter().find(|cluster| cluster.name == *name);
    let Some(cluster) = cluster.and_then(|cluster| cluster.cluster.as_ref()) else { return Ok(None) };
    let Some(server) = cluster.server.as_ref().and_then(|server| server.parse().ok()) else { return Ok(None) };
    #[expect(clippy::disallowed_methods, reason = "here the environment is resolved")]
    let variable = |names: [&str; 2]| {
        names.into_iter().find_map(|name| env::var(name).ok().filter(|value| !value.is_empty())).unwrap_or_default()
    };
    let own = cluster.proxy_url.as_deref().unwrap_or_default();
    proxy(&server, own, &variable(["HTTPS_PROXY", "https_proxy"]), &variable(["NO_PROXY", "no_proxy"]))
}

/// The proxy that kubectl would use: the one in the kubeconfig, if any; else for https the one in the environment,
/// unless the server is on this machine or `NO_PROXY` names it. Each argument may be empty.
fn proxy(server: &Uri, own: &str, environment: &str, exceptions: &str) -> Result<Option<Uri>, ClusterError> {
    let usable = |text: &str| {
        let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url: Option<Uri> = url.parse().ok();
        url.filter(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.host() != Some(""))
            .ok_or(ClusterError::Proxy)
    };
    if !own.is_empty() {
        return usable(own).map(Some);
    }
    if environment.is_empty() {
        return Ok(None);
    }
    let url = usable(environment)?;
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    // The matcher includes all subdomains of a domain, and does not support a leading `*`.
    let matcher = Matcher::builder().https(environment).no(exceptions.replace("*.", ".")).build();
    Ok(Some(url).filter(|_| !is_here && matcher.intercept(server).is_some()))
}

/// A cluster's address, without the user name or password before an `@`.
#[must_use]
pub fn address(server: &Uri) -> String {
    let text = escape(&server.to_string());
    let user = server.authority().and_then(|authority| authority.as_str().rsplit_once('@'));
    user.map_or(text.clone(), |(user, _)| text.replacen(&format!("{user}@"), "", 1))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const PROXY: &str = "http://me:secret@proxy.example.com:3128";

    #[rstest]
    #[case::none("https://api.example.com:6443", "", "", "", None)]
    #[case::of_the_environment("https://api.example.com:6443", "", PROXY, "", Some(PROXY))]
    #[case::without_a_scheme("https://api.example.com", "", "proxy:3128", "", Some("http://proxy:3128/"))]
    #[case::over_tls("https://api.example.com", "", "https://proxy", "", Some("https://proxy/"))]
    #[case::of_the_kubeconfig("https://api.example.com", "https://here:1080", PROXY, "*", Some("https://here:1080"))]
    #[case::of_the_kubeconfig_to_this_machine("http://localhost", "http://here", "", "", Some("http://here/"))]
    #[case::not_over_http("http://api.example.com", "", PROXY, "", None)]
    #[case::not_to_this_machine("https://localhost:6443", "", PROXY, "", None)]
    #[case::not_to_a_loopback("https://127.0.0.2:6443", "", PROXY, "", None)]
    #[case::not_to_a_loopback_of_ipv6("https://[::1]:6443", "", PROXY, "", None)]
    #[case::excepted_by_name("https://api.example.com:6443", "", PROXY, "localhost, api.example.com,", None)]
    #[case::excepted_by_domain("https://api.example.com:6443", "", PROXY, ".example.com", None)]
    #[case::excepted_by_wildcard("https://api.example.com:6443", "", PROXY, "*.example.com", None)]
    #[case::excepted_by_network("https://10.1.2.3:6443", "", PROXY, "10.0.0.0/8", None)]
    #[case::all_excepted("https://api.example.com:6443", "", PROXY, "*", None)]
    #[case::another_excepted("https://api.example.com:6443", "", PROXY, "example.org,proxy.example.com", Some(PROXY))]
    fn the_proxy_is_that_of_kubectl(
        #[case] server: &str,
        #[case] own: &str,
        #[case] environment: &str,
        #[case] exceptions: &str,
        #[case] expected: Option<&str>,
    ) {
        let found = proxy(&server.parse().unwrap(), own, environment, exceptions).unwrap();
        assert_eq!(found, expected.map(|url| url.parse().unwrap()));
    }

    #[rstest]
    #[case::another_scheme("socks5://me:secret@proxy")]
    #[case::no_host("http://")]
    #[case::no_url("http://me:secret@pro xy")]
    fn a_proxy_that_cannot_be_used_is_not_quoted(#[case] url: &str) {
        let error = proxy(&"https://api.example.com".parse().unwrap(), "", url, "").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[rstest]
    #[case::plain("https://api.example.com:6443", "https://api.example.com:6443/")]
    #[case::user("https://me:secret@api.example.com:6443/path", "https://api.example.com:6443/path")]
    fn an_address_is_shown_without_its_password(#[case] server: &str, #[case] expected: &str) {
        assert_eq!(address(&server.parse().unwrap()), expected);
    }
}
