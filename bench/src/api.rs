//! Signed requests to the gateway's API port.

use std::{path::Path, time::SystemTime};

use anyhow::{Context as _, ensure};
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4::SigningParams,
};
use bytes::Bytes;
use gateway::api::key::ApiFile;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode, client::conn::http1::SendRequest, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A request that is signed already. A signature counts for five minutes.
pub(crate) type Signed = Request<Full<Bytes>>;

/// Signs requests for the port of a gateway.
pub(crate) struct Signer {
    host: String,
    region: String,
    credentials: Credentials,
}

/// A connection to the port.
pub(crate) struct Connection(SendRequest<Full<Bytes>>);

impl Signer {
    /// Reads where the port of the gateway with this data folder is, and its key.
    pub(crate) fn of(folder: &Path) -> anyhow::Result<Self> {
        let ApiFile { endpoint, region, key } = ApiFile::read(folder)?;
        let host = endpoint.strip_prefix("http://").context("the API port has another scheme")?.to_owned();
        let credentials = Credentials::new(key.id, key.secret.as_str(), None, None, "bench");
        Ok(Self { host, region, credentials })
    }

    /// A request of the service `iot`.
    pub(crate) fn request(&self, method: &Method, path: &str, body: Bytes) -> anyhow::Result<Signed> {
        let identity = self.credentials.clone().into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("iot")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let uri = format!("http://{}{path}", self.host);
        let headers = std::iter::once(("host", self.host.as_str()));
        let signable = SignableRequest::new(method.as_str(), &uri, headers, SignableBody::Bytes(&body))?;
        let (instructions, _) = sign(signable, &parameters)?.into_parts();
        let request = Request::builder().method(method).uri(path).header(HOST, &self.host);
        let mut request = request.body(Full::new(body))?;
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }

    /// Connects to the port.
    pub(crate) async fn connect(&self) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(&self.host).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // An error of the connection is one of the request too.
        tokio::spawn(connection);
        Ok(Connection(sender))
    }
}

impl Connection {
    /// Sends a request, and reads the body of its answer, which has to be a success.
    pub(crate) async fn send(&mut self, request: Signed) -> anyhow::Result<Bytes> {
        self.0.ready().await?;
        let answer = self.0.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        ensure!(status == StatusCode::OK, "{status}: {}", String::from_utf8_lossy(&body).escape_debug());
        Ok(body)
    }
}
