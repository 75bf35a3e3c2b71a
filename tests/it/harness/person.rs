//! A person with a browser: cookies with `SameSite`, redirects, forms, and the headers and rules that browsers have.

use std::cell::RefCell;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::{PATIENCE, World, form};
use crate::upstream::{Answer, Wire};

/// Redirects in a row, as browsers count.
const HOPS: usize = 20;

/// One browser profile.
pub(crate) struct Person {
    tls: Arc<ClientConfig>,
    hosts: Vec<(String, SocketAddr)>,
    jar: RefCell<Vec<Cookie>>,
}

#[derive(Clone, Debug)]
struct Cookie {
    host: String,
    name: String,
    value: String,
    same_site: String,
}

/// One request on the way to a page.
#[derive(Clone, Debug)]
pub(crate) struct Hop {
    pub(crate) url: String,
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
}

/// Where a person ended up.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) url: String,
    pub(crate) status: u16,
    pub(crate) answer: Answer,
    /// Every request on the way, this page's own last.
    pub(crate) hops: Vec<Hop>,
}

impl Page {
    pub(crate) fn text(&self) -> String {
        self.answer.text()
    }
}

/// How a browser goes somewhere.
struct Visit<'a> {
    method: &'static str,
    body: String,
    /// The page whose link or form is followed; `None`: typed in, or opened by a program.
    from: Option<&'a Page>,
}

impl Person {
    pub(crate) fn new(world: &World) -> Self {
        Self { tls: world.authority.client_config(), hosts: world.addresses(), jar: RefCell::default() }
    }

    /// Opens `url` as a program or the address bar does.
    pub(crate) fn browse(&self, url: &str) -> Page {
        self.go(url, Visit { method: "GET", body: String::new(), from: None })
    }

    /// Follows a link on `page`.
    pub(crate) fn follow(&self, page: &Page, url: &str) -> Page {
        self.go(url, Visit { method: "GET", body: String::new(), from: Some(page) })
    }

    /// Opens `url` and stops before the redirect; gives where it leads.
    pub(crate) fn peek(&self, url: &str) -> String {
        let answer = self.request(url, "GET", "", "none", None);
        let to = answer.head.field("location").unwrap_or_else(|| panic!("{url} leads nowhere: {answer:?}"));
        absolute(url, to)
    }

    /// Where `host` is, of the servers that are not on the default port of HTTPS.
    pub(crate) fn knows(&mut self, host: &str, address: SocketAddr) {
        self.hosts.retain(|(known, _)| known != host);
        self.hosts.push((host.to_owned(), address));
    }

    /// Sends the first form of `page`, its hidden fields included.
    pub(crate) fn submit(&self, page: &Page, fields: &[(&str, &str)]) -> Page {
        self.submit_to(page, "", fields)
    }

    /// Sends the first form of `page` that goes to `place`.
    pub(crate) fn submit_to(&self, page: &Page, place: &str, fields: &[(&str, &str)]) -> Page {
        let text = page.text();
        let action = |form: &str| plain(&between(form, "action=\"", "\"").expect("a form with an action"));
        let form = text.split("<form").skip(1).find(|form| action(form).starts_with(place));
        let form = form.unwrap_or_else(|| panic!("no form goes to {place}: {text}"));
        let (action, form) = (action(form), form.split("</form").next().unwrap_or_default());
        let hidden: Vec<(String, String)> = form
            .split("<input")
            .filter(|tag| tag.contains("type=\"hidden\""))
            .filter_map(|tag| Some((plain(&between(tag, "name=\"", "\"")?), plain(&between(tag, "value=\"", "\"")?))))
            .collect();
        let hidden = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let body = form::encode(hidden.chain(fields.iter().copied()));
        self.go(&absolute(&page.url, &action), Visit { method: "POST", body, from: Some(page) })
    }

    fn go(&self, url: &str, visit: Visit<'_>) -> Page {
        let Visit { mut method, mut body, from } = visit;
        let policy =
            from.filter(|_| method == "POST").and_then(|page| page.answer.head.field("content-security-policy"));
        let policy = policy.map(str::to_owned);
        let mut url = url.to_owned();
        let mut hops = Vec::new();
        let mut is_cross_site = false;
        loop {
            if let (Some(policy), Some(page)) = (&policy, from) {
                assert!(may_submit(policy, &page.url, &url), "form-action of {} forbids {url} ({hops:#?})", page.url);
            }
            is_cross_site |= from.is_some_and(|page| host(&page.url) != host(&url));
            let site = match from {
                None => "none",
                Some(_) if is_cross_site => "cross-site",
                Some(_) => "same-origin",
            };
            let answer = self.request(&url, method, &body, site, from.map(|page| origin(&page.url)));
            let location = answer.head.field("location").map(|to| absolute(&url, to));
            hops.push(Hop { url: url.clone(), status: answer.status, location: location.clone() });
            assert!(hops.len() <= HOPS, "redirected in circles: {hops:#?}");
            match location {
                Some(to) if (300..400).contains(&answer.status) => {
                    if answer.status < 307 {
                        (method, body) = ("GET", String::new());
                    }
                    url = to;
                }
                _ => return Page { url, status: answer.status, answer, hops },
            }
        }
    }

    fn request(&self, url: &str, method: &str, body: &str, site: &str, origin: Option<String>) -> Answer {
        let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap_or("/");
        let path = path.split('#').next().unwrap_or_default();
        let mut lines = vec![
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close", authority(url)),
            format!("Sec-Fetch-Site: {site}\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document"),
            "User-Agent: Mozilla/5.0 (test)\r\nAccept: text/html".to_owned(),
        ];
        lines.extend(self.cookies(url, method, site == "cross-site").map(|cookies| format!("Cookie: {cookies}")));
        if method == "POST" {
            lines.push(format!("Origin: {}", origin.unwrap_or_else(|| "null".to_owned())));
            lines.push("Content-Type: application/x-www-form-urlencoded".to_owned());
            lines.push(format!("Content-Length: {}", body.len()));
        }
        let head = lines.join("\r\n");
        let answer = self.exchange(url, method, &format!("{head}\r\n\r\n{body}"));
        self.keep(url, &answer);
        answer
    }

    fn exchange(&self, url: &str, method: &str, request: &str) -> Answer {
        let (scheme, authority) = (url.split("://").next().unwrap_or_default(), authority(url));
        let name = host(url);
        let known = self.hosts.iter().find(|(known, _)| *known == name).map(|(_, address)| *address);
        let address = known.or_else(|| authority.replace("localhost", "127.0.0.1").parse().ok());
        let address = address.unwrap_or_else(|| panic!("a browser cannot reach {url}"));
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{url}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        if scheme == "http" {
            let mut wire = Wire::new(stream);
            wire.send(request).expect("it reads");
            return wire.answer(method).unwrap_or_else(|error| panic!("{url}: {error}"));
        }
        let name = ServerName::try_from(name).expect("a DNS name");
        let tls = ClientConnection::new(Arc::clone(&self.tls), name).expect("a client");
        let mut wire = Wire::new(StreamOwned::new(tls, stream));
        wire.send(request).expect("it reads");
        wire.answer(method).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    /// `SameSite` as browsers have it: without the attribute it is `Lax`.
    fn cookies(&self, url: &str, method: &str, is_cross_site: bool) -> Option<String> {
        let goes = |cookie: &&Cookie| match cookie.same_site.as_str() {
            "none" => true,
            "strict" => !is_cross_site,
            _ => !is_cross_site || method == "GET",
        };
        let jar = self.jar.borrow();
        let ours = jar.iter().filter(|cookie| cookie.host == host(url)).filter(goes);
        let pairs: Vec<String> = ours.map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    fn keep(&self, url: &str, answer: &Answer) {
        let mut jar = self.jar.borrow_mut();
        for line in answer.head.all("set-cookie") {
            let mut parts = line.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
            let attributes: Vec<String> = parts.map(str::to_ascii_lowercase).collect();
            let attribute = |name: &str| attributes.iter().find_map(|one| one.strip_prefix(name));
            jar.retain(|cookie| cookie.host != host(url) || cookie.name != name);
            if attribute("max-age=") == Some("0") {
                continue;
            }
            let same_site = attribute("samesite=").unwrap_or("lax").to_owned();
            jar.push(Cookie { host: host(url), name: name.to_owned(), value: value.to_owned(), same_site });
        }
    }
}

/// Whether `form-action` of `policy` lets a form of `page` go to `target`. Chromium asks at every redirect.
fn may_submit(policy: &str, page: &str, target: &str) -> bool {
    let directive = policy.split(';').map(str::trim).find_map(|directive| directive.strip_prefix("form-action "));
    let scheme = target.split(':').next().unwrap_or_default();
    directive.is_none_or(|sources| {
        sources.split_whitespace().any(|source| match source {
            "'self'" => origin(page) == origin(target),
            "*" => matches!(scheme, "http" | "https"),
            other => other.trim_end_matches(':') == scheme || other.trim_end_matches('/') == origin(target),
        })
    })
}

fn authority(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned()
}

fn host(url: &str) -> String {
    authority(url).split(':').next().unwrap_or_default().to_owned()
}

fn origin(url: &str) -> String {
    format!("{}://{}", url.split("://").next().unwrap_or_default(), authority(url))
}

fn absolute(base: &str, target: &str) -> String {
    if target.starts_with('/') { format!("{}{target}", origin(base)) } else { target.to_owned() }
}

fn between(text: &str, start: &str, end: &str) -> Option<String> {
    let rest = &text[text.find(start)? + start.len()..];
    Some(rest[..rest.find(end)?].to_owned())
}

/// An attribute's value without its escapes.
fn plain(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
    text.replace("&#x27;", "'").replace("&amp;", "&")
}
