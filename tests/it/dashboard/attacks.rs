//! What pages of other sites try in the browser of somebody who is signed in.

use serde_json::{Value, json};

use super::stage::{HOST, PASSWORD, REBOUND, Stage, register, routes};
use crate::harness::browser::Page;
use crate::harness::{Caller, Site};

/// Method and path of every route, with parameters for which there is something to change.
fn targets(caller: &Caller<'_>, claim: &str) -> Vec<(String, String)> {
    let fill = |pattern: &str| {
        pattern
            .replace("{provider}", "demo")
            .replace("{connection}", "default")
            .replace("{handle}", &caller.handle)
            .replace("{token}", claim)
            .replace(['{', '}'], "")
    };
    routes(caller).into_iter().map(|route| (route.method, fill(&route.pattern))).collect()
}

/// A form that would do something wherever it got through.
fn form() -> Value {
    json!({
        "email": "eve@example.com", "password": PASSWORD, "current_password": PASSWORD, "new_password": "eve's password",
        "next": "/", "return_url": "/", "connection": "eve", "force": "1", "permissions": "1", "export": "1", "use": "",
        "client_id": "eve", "client_secret": "eve", "scopes": "all", "name": "eve", "display_name": "Eve",
        "api_url": "eve.test", "auth_type": "api_key", "flow": "api_key", "api_key": "eve", "header_name": "X-Eve",
        "definition": "{}",
    })
}

/// What the attacks below are made of: a form that is posted from the page into a frame called `target`, or instead of
/// the page.
const POST: &str = "const post = (url, fields, target) => {
  const form = document.createElement('form');
  [form.method, form.action, form.target] = ['post', url, target];
  for (const [name, value] of Object.entries(fields)) {
    const field = document.createElement('input');
    [field.type, field.name, field.value] = ['hidden', name, value];
    form.append(field);
  }
  document.body.append(form);
  form.submit();
};";

/// An expression that posts the form to `url`, as any page may.
fn posts_form(url: &str) -> String {
    format!("{{ {POST} post({}, {}, ''); }}", json!(url), form())
}

/// An expression that posts the form everywhere at once, each into a frame of its own.
fn posts_forms(urls: &[String]) -> String {
    format!(
        "{{ {POST} Promise.all({}.map((url, index) => new Promise((loaded) => {{
             const frame = document.createElement('iframe');
             frame.name = `frame-${{index}}`;
             document.body.append(frame);
             frame.onload = loaded;
             post(url, {}, frame.name);
           }}))).then(() => null) }}",
        json!(urls),
        form()
    )
}

/// An expression that sends every request which a script can make, with cookies, and fails if it can read an answer. A
/// body of JSON goes as plain text too: with its own type the browser asks first.
fn sends_everything(origin: &str, targets: &[(String, String)]) -> String {
    format!(
        "Promise.all({}.flatMap(([method, path]) => {{
           const form = new URLSearchParams({});
           const json = JSON.stringify({});
           const ways = method === 'GET'
             ? [{{ mode: 'no-cors' }}, {{ mode: 'cors' }}]
             : [
                 {{ mode: 'no-cors', method: 'POST', body: form }},
                 {{ mode: 'no-cors', method: 'POST', body: json }},
                 {{ mode: 'cors', method, body: form }},
                 {{ mode: 'cors', method, body: json, headers: {{ 'content-type': 'application/json' }} }},
               ];
           return ways.map(async (way) => {{
             const answer = await fetch({} + path, {{ credentials: 'include', ...way }}).catch(() => null);
             if (answer && answer.type !== 'opaque') throw new Error(`${{method}} ${{path}} can be read`);
           }});
         }})).then(() => null)",
        json!(targets),
        form(),
        form(),
        json!(origin)
    )
}

/// Everything that a caller with all rights sees of the daemon. What an attack did, it shows.
fn everything(caller: &Caller<'_>) -> Value {
    let detail = format!("/api/identities/{}/detail", caller.handle);
    let places = ["/api/connections", "/api/providers", "/api/principals", "/api/audit/events?limit=500", &detail];
    let read = |place: &&str| {
        let answer = caller.get(place);
        assert_eq!(answer.status, 200, "{place}: {answer:?}");
        answer.json()
    };
    places.iter().map(read).collect()
}

/// Sends everything from a page of `site`, and expects the daemon to be unmoved.
#[track_caller]
fn attacks_in_vain(page: &Page<'_>, site: &str, stage: &Stage, caller: &Caller<'_>, targets: &[(String, String)]) {
    let before = everything(caller);
    page.go(site);
    let posts: Vec<_> = targets.iter().filter(|(method, _)| method == "POST").map(|(_, path)| stage.at(path)).collect();
    let mut answers = page.answers(&posts_forms(&posts));
    assert_eq!(answers.len(), posts.len(), "{answers:#?}");
    answers.extend(page.answers(&sends_everything(&stage.origin, targets)));
    let got_through = |(method, _, status): &&(String, String, u16)| match method.as_str() {
        "GET" => *status >= 500,
        "OPTIONS" => *status < 400,
        _ => *status != 403,
    };
    let through: Vec<_> = answers.iter().filter(got_through).collect();
    assert!(through.is_empty(), "{site}: {through:#?}");
    assert_eq!(everything(caller), before, "{site} changed something");
    page.go(&stage.at("/")).has_status(200).came_to(&stage.at("/"));
}

#[test]
fn no_page_elsewhere_changes_anything() {
    let stage = Stage::connected();
    let caller = Caller::active(&stage.world);
    let fox = Caller::stranger(&stage.world, "calm-fox");
    let claim = fox.claim_url();
    let claim = claim.split_once("token=").expect("a token").1;
    let targets = targets(&caller, claim);
    let page = stage.owner("a");
    let site = Site::start();
    // Another port is the same site for a browser, which sends all cookies there; another name is not.
    for name in ["127.0.0.1", "localhost"] {
        attacks_in_vain(&page, &site.url(name), &stage, &caller, &targets);
    }

    // The same forms from a page of ours work.
    let url = stage.at("/api/connections/demo/default/default");
    page.provoke(&posts_form(&url)).has_status(200).says(r#""status":"ok""#);
    page.go(&stage.at("/"));
    page.provoke(&posts_form(&stage.at(&format!("/api/claim/{claim}/confirm")))).has_status(200);
    assert_eq!(fox.get("/api/whoami").status, 200);
    page.go(&stage.at("/"));
    page.provoke(&posts_form(&stage.at("/api/logout"))).came_to(&stage.at("/login"));
}

#[test]
fn no_page_elsewhere_changes_a_hosted_daemon() {
    let site = Site::start();
    // A neighbour under the same domain is the same site too. Without TLS no browser says where a request comes from
    // but by Origin.
    let neighbour = format!("eve.{HOST}");
    let (stage, token) = Stage::hosted_with(&[(&neighbour, site.address()), ("evil.test", site.address())]);
    let page = stage.browser.page_with_scripts("a");
    page.go(&stage.at("/login"));
    register(&page, "ada@example.com", "Setup token", &token);
    let agent = Caller::stranger(&stage.world, "build-server");
    let claim = agent.claim_url();
    page.go(&claim);
    page.press("Yes, it is mine");
    let targets = targets(&agent, "claim_none");
    for name in [neighbour.as_str(), "evil.test"] {
        attacks_in_vain(&page, &format!("http://{name}/"), &stage, &agent, &targets);
    }

    // A name that leads here, but is not ours, shows nothing.
    for path in ["/", "/login", "/health", "/api/connections"] {
        page.go(&format!("http://{REBOUND}{path}")).has_status(421).does_not_say("ada@example.com");
    }
}

#[test]
fn no_page_elsewhere_frames_ours() {
    let stage = Stage::local();
    let page = stage.owner("a");
    let site = Site::start();
    for name in ["127.0.0.1", "localhost"] {
        page.go(&site.url(name));
        for (url, shown) in [
            (site.url(name), site.url(name)),
            (stage.at("/"), "chrome-error://chromewebdata/".to_owned()),
            (stage.at("/login"), "chrome-error://chromewebdata/".to_owned()),
            (stage.at("/claim?token=x"), "chrome-error://chromewebdata/".to_owned()),
        ] {
            page.evaluate(&format!(
                "new Promise((loaded) => {{
                   const frame = document.createElement('iframe');
                   frame.onload = loaded;
                   frame.src = {};
                   document.body.replaceChildren(frame);
                 }}).then(() => null)",
                json!(url)
            ));
            assert_eq!(page.frames(), json!([shown]), "{url} in a frame of {name}");
        }
    }
}
