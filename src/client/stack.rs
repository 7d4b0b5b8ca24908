//! The layers of a client, from kube's request to the [`Connection`] that sends it: kube's layers for address,
//! credentials and headers, without its log of each failure, and HTTP/2, which kube's own stack lacks.

use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::{body::Incoming, rt};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::{
    legacy::connect::{self, HttpConnector, proxy::Tunnel},
    proxy::matcher::Matcher,
};
use kube::{
    Config, Error,
    client::{AuthError, Body, ClientBuilder, ConfigExt as _, RustlsTlsError, retry::RetryPolicy},
};
use tower::{
    BoxError, Service, ServiceBuilder, ServiceExt as _,
    retry::RetryLayer,
    util::{BoxService, MapErrLayer},
};
use tower_http::timeout::TimeoutBody;

use super::{
    PluginError,
    connection::{Connection, Timeouts},
    error::plugin,
};

/// Timeouts for a configuration that has none.
const CONNECT: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_mins(5);

/// Builds a client whose errors contain no secrets.
pub type Builder = ClientBuilder<BoxService<Request<Body>, Response<TimeoutBody<Incoming>>, BoxError>>;

/// A builder of a client of that cluster. No error of its requests contains the input or output of a credential plugin.
///
/// # Errors
/// The configuration doesn't make a client; [`super::problem`] is the reason.
pub fn builder(config: &Config) -> kube::Result<Builder> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    // A small frame must not wait for the acknowledgement of the previous one.
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(config.connect_timeout);
    let Some(proxy) = config.proxy_url.clone() else { return over(tcp, config) };
    match proxy.scheme_str() {
        Some("http") => over(through(&proxy, tcp), config),
        Some("https") => {
            let tls = config.rustls_https_connector_with_connector(tcp)?;
            over(through(&proxy, tls), config)
        }
        _ => Err(Error::ProxyProtocolUnsupported { proxy_url: Box::new(proxy) }),
    }
}

/// A tunnel through the proxy, with the user name and password of its URL.
fn through<C>(proxy: &Uri, connector: C) -> Tunnel<C> {
    let tunnel = Tunnel::new(proxy.clone(), connector);
    let proxies = Matcher::builder().all(proxy.to_string()).build();
    match proxies.intercept(&Uri::from_static("https://any.invalid")).as_ref().and_then(|proxy| proxy.basic_auth()) {
        Some(credentials) => tunnel.with_auth(credentials.clone()),
        None => tunnel,
    }
}

fn over<C>(connector: C, config: &Config) -> kube::Result<Builder>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: rt::Read + rt::Write + connect::Connection + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    let timeouts =
        Timeouts { connect: config.connect_timeout.unwrap_or(CONNECT), answer: config.read_timeout.unwrap_or(ANSWER) };
    let connection = Connection::new(config.cluster_url.clone(), tls(connector, config)?, timeouts);
    let service = ServiceBuilder::new()
        .layer(MapErrLayer::new(without_secrets))
        .layer(config.base_uri_layer())
        .option_layer(config.default_retry.then(|| RetryLayer::new(RetryPolicy::server_retry())))
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .service(connection)
        .boxed();
    Ok(ClientBuilder::new(service, config.default_namespace.clone()))
}

/// TLS by the configuration, which offers HTTP/2 and HTTP/1.1.
fn tls<C>(connector: C, config: &Config) -> kube::Result<HttpsConnector<C>> {
    let builder = HttpsConnectorBuilder::new().with_tls_config(config.rustls_client_config()?).https_or_http();
    let builder = match &config.tls_server_name {
        Some(name) => {
            let name = name.clone().try_into().map_err(RustlsTlsError::InvalidServerName).map_err(Error::RustlsTls)?;
            builder.with_server_name_resolver(FixedServerNameResolver::new(name))
        }
        None => builder,
    };
    Ok(builder.enable_all_versions().wrap_connector(connector))
}

fn without_secrets(error: BoxError) -> BoxError {
    match error.downcast_ref::<AuthError>().and_then(plugin) {
        Some(error) => PluginError::into(error),
        None => error,
    }
}
