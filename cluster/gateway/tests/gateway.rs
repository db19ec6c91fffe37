//! The gateway over plain TCP: what it answers, and whom it does not wait for.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use isx_gateway::limits::{CONNECTIONS_MAX, HEADER_BYTES_MAX, HEADERS_MAX, HEADERS_WITHIN};
use isx_gateway::{Family, Gateway, Missing, Operated, Values};
use prometheus_parse::{Scrape, Value};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

#[derive(Default)]
struct Twin {
    asked: AtomicU64,
    cold: AtomicBool,
    ill: AtomicBool,
}

fn missing(is: bool) -> Vec<Missing> {
    is.then(|| Missing { what: "water".into(), why: "it is too cold".into() }).into_iter().collect()
}

#[isx_gateway::async_trait]
impl Operated for Twin {
    fn name(&self) -> &str {
        "twin"
    }
    fn version(&self) -> &str {
        "1.2.3"
    }
    fn ails(&self) -> Vec<Missing> {
        missing(self.ill.load(Ordering::Relaxed))
    }
    async fn missing(&self) -> Vec<Missing> {
        missing(self.cold.load(Ordering::Relaxed))
    }
    fn figures(&self) -> Vec<Family> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let label = |which: &str| vec![("which", which.to_string())];
        let values = vec![(label("a \"b\"\n"), asked as f64), (label("c"), 0.0)];
        vec![Family::new("twin_asked", "Times that it was asked.", Values::Counters(values))]
    }
}

fn start() -> (Gateway, Arc<Twin>) {
    let twin = Arc::new(Twin::default());
    (Gateway::start("127.0.0.1:0".parse().unwrap(), twin.clone()).unwrap(), twin)
}

/// What the gateway sends for these bytes until it closes; empty when it only closes.
fn sent(gateway: &Gateway, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    // It may have closed before it has read all.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

/// The status and the body of a page.
fn get(gateway: &Gateway, page: &str) -> (u16, String) {
    let answer = sent(gateway, format!("GET {page} HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.address()).as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_string())
}

#[test]
fn figures_are_parsed_as_they_were_counted() {
    let (gateway, _) = start();
    for asked in 1..=3 {
        let (status, body) = get(&gateway, "/metrics");
        assert_eq!(status, 200);
        assert!(body.ends_with("# EOF\n"), "{body}");
        let scrape = Scrape::parse(body.lines().map(|line| Ok(line.to_string()))).unwrap();
        let found: Vec<_> = scrape.samples.iter().filter(|sample| sample.metric == "twin_asked_total").collect();
        assert_eq!(found.len(), 2, "{body}");
        // Its help and type lines name the family, so the parser knows no counter here.
        let count = |value: &Value| match value {
            Value::Counter(count) | Value::Gauge(count) | Value::Untyped(count) => *count,
            other => panic!("{other:?}"),
        };
        assert_eq!(count(&found[0].value), f64::from(asked));
    }
}

#[test]
fn pages_say_what_is_missing() {
    let (gateway, twin) = start();
    assert_eq!(get(&gateway, "/healthz"), (200, "{\"healthy\":true,\"missing\":[]}\n".into()));
    assert_eq!(get(&gateway, "/readyz").0, 200);
    twin.cold.store(true, Ordering::Relaxed);
    let missing = "{\"missing\":[{\"what\":\"water\",\"why\":\"it is too cold\"}],\"ready\":false}\n";
    assert_eq!(get(&gateway, "/readyz"), (503, missing.into()));
    assert_eq!(get(&gateway, "/healthz").0, 200);
    twin.ill.store(true, Ordering::Relaxed);
    assert_eq!(get(&gateway, "/healthz").0, 503);
    assert_eq!(get(&gateway, "/version"), (200, "{\"name\":\"twin\",\"version\":\"1.2.3\"}\n".into()));
    assert_eq!(get(&gateway, "/version?x=1").0, 200);
    let (status, body) = get(&gateway, "/nothing");
    assert!(status == 404 && body.contains("/metrics"), "{body}");
}

#[test]
fn what_is_no_request_for_it_is_refused() {
    let (gateway, _) = start();
    let status = |bytes: &[u8]| {
        let answer = sent(&gateway, bytes);
        answer.split(' ').nth(1).map(|status| status.parse::<u16>().unwrap())
    };
    let headers = "X: y\r\n".repeat(HEADERS_MAX + 1);
    let checks: &[(&str, Option<u16>)] = &[
        ("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", Some(200)),
        ("GET /version HTTP/1.0\r\n\r\n", Some(200)),
        ("GET /version HTTP/1.1\r\nHost: [::1]:1\r\n\r\n", Some(200)),
        ("GET /version HTTP/1.1\r\nHost: evil.example\r\n\r\n", Some(421)),
        ("GET http://evil.example/version HTTP/1.1\r\nHost: localhost\r\n\r\n", Some(421)),
        ("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", Some(405)),
        (&format!("GET /version HTTP/1.1\r\n{headers}\r\n"), Some(431)),
        (&format!("GET /version HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(HEADER_BYTES_MAX)), Some(431)),
        ("\u{16}\u{3}\u{1}junk\r\n\r\n", Some(400)),
    ];
    for (request, expected) in checks {
        assert_eq!(status(request.as_bytes()), *expected, "{:?}", &request[..request.len().min(80)]);
    }
    assert_eq!(get(&gateway, "/version").0, 200);
}

#[test]
fn who_is_slow_or_many_keeps_nobody_away() {
    let (gateway, _) = start();
    let begun = Instant::now();
    let mut slow: Vec<TcpStream> = Vec::new();
    for _ in 0..2 * CONNECTIONS_MAX {
        let mut stream = TcpStream::connect(gateway.address()).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nX: ").unwrap();
        slow.push(stream);
    }
    for _ in 0..8 {
        assert_eq!(get(&gateway, "/version").0, 200);
    }
    assert!(begun.elapsed() < HEADERS_WITHIN, "nobody waited for them");
    // The oldest were ended for the youngest.
    let mut left = Vec::new();
    assert!(matches!(slow[0].read_to_end(&mut left), Ok(0) | Err(_)));
}

#[test]
fn a_taken_port_is_an_error_that_names_it_and_an_end_lets_it_go() {
    let (gateway, twin) = start();
    let address = gateway.address();
    let error = Gateway::start(address, twin.clone()).err().unwrap();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    drop(gateway);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn it_begins_and_ends_within_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (gateway, twin) = start();
        assert_eq!(get(&gateway, "/version").0, 200);
        assert!(Gateway::start(gateway.address(), twin).is_err());
    });
}
