//! What is asked for by path, and what it answers.

use crate::exposition;
use crate::figures::Family;
use async_trait::async_trait;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value as Json, json};
use std::net::IpAddr;

/// What is operated: a node, to its gateway.
#[async_trait]
pub trait Operated: Send + Sync + 'static {
    /// What it is called.
    fn name(&self) -> &str;
    /// The version of what it is made of.
    fn version(&self) -> &str;
    /// Why it should be ended and begun again; nothing while it is well.
    fn ails(&self) -> Vec<Missing>;
    /// Why it does not serve now; nothing while it does.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    async fn missing(&self) -> Vec<Missing>;
    /// What it counts and measures, as it is now.
    fn figures(&self) -> Vec<Family>;
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What.
    pub what: String,
    /// Why, and what cures it.
    pub why: String,
}

const JSON: &str = "application/json";
const PAGES: [&str; 4] = ["/metrics", "/healthz", "/readyz", "/version"];

/// Answers a request that came to `local`.
pub(crate) async fn answer(
    operated: &dyn Operated,
    local: IpAddr,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    if !is_for(local, request) {
        let text = "ask for 127.0.0.1 or localhost: pages of other names may not read what this machine's may";
        return told(StatusCode::MISDIRECTED_REQUEST, &json!({ "error": text }));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = told(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": "only GET and HEAD are answered" }));
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/metrics" => match exposition::text(operated.figures()) {
            Ok(text) => response(StatusCode::OK, exposition::CONTENT_TYPE, text),
            Err(error) => told(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": error.to_string() })),
        },
        "/healthz" => state("healthy", &operated.ails()),
        "/readyz" => state("ready", &operated.missing().await),
        "/version" => told(StatusCode::OK, &json!({ "name": operated.name(), "version": operated.version() })),
        _ => told(StatusCode::NOT_FOUND, &json!({ "error": format!("there are {}", PAGES.join(", ")) })),
    }
}

/// Whether a request is for this machine: what listens on it alone is not for pages whose name leads here.
fn is_for(local: IpAddr, request: &Request<Incoming>) -> bool {
    let host = request.uri().host().map(str::to_owned).or_else(|| {
        let header = request.headers().get(HOST)?.to_str().ok()?;
        Some(header.parse::<hyper::http::uri::Authority>().ok()?.host().to_owned())
    });
    let here =
        |host: &str| host.eq_ignore_ascii_case("localhost") || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    !local.is_loopback() || host.is_none_or(|host| here(&host))
}

fn state(name: &str, missing: &[Missing]) -> Response<Full<Bytes>> {
    let status = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let missing: Vec<Json> = missing.iter().map(|one| json!({ "what": one.what, "why": one.why })).collect();
    told(status, &json!({ name: status == StatusCode::OK, "missing": missing }))
}

fn told(status: StatusCode, json: &Json) -> Response<Full<Bytes>> {
    response(status, JSON, format!("{json}\n"))
}

fn response(status: StatusCode, content: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
