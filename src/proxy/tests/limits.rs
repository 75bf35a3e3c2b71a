//! Limits of a run: what is over them is refused with a reason, and nothing of it goes upstream.

use crate::proxy::testing::{HOST, Peer, TestRun, Upstream, World, authorization, code};
use crate::proxy::{Limits, Rule};

fn upstream(world: &mut World) -> Upstream {
    world.upstream(|mut peer| {
        while let Ok(head) = peer.read_request() {
            assert_eq!(head.fields.first_str("authorization"), Some("Bearer real-key"));
            peer.send(&format!(
                "HTTP/1.1 200 OK\r\nX-Was: {} {}\r\nContent-Length: 0\r\n\r\n",
                head.method, head.target
            ));
        }
    })
}

/// What becomes of a request without a body: its status, and the code of a refusal.
fn ask(child: &mut Peer, request: &str) -> (u16, String) {
    let (line, fields) = request.split_once('|').unwrap_or((request, ""));
    let fields = if fields.is_empty() { String::new() } else { format!("{fields}\r\n") };
    child.send(&format!("{line} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n"));
    let answer = child.response(line.split(' ').next().expect("a method"));
    let is_ours = answer.0.fields.contains("x-authsome-error");
    assert_ne!(is_ours, answer.0.fields.first_str("x-was") == Some(line), "{line}");
    let code = if is_ours { code(&answer) } else { String::new() };
    (answer.0.status, code)
}

fn run(world: &World, read_only: bool, max_requests: Option<u64>, rules: &[&str]) -> TestRun {
    let rules = rules.iter().map(|text| Rule::parse(text).expect(text)).collect();
    world.run_limited(Limits { read_only, max_requests, rules })
}

#[test]
fn what_is_over_the_limits_is_refused_and_recorded() {
    let mut world = World::new();
    let upstream = upstream(&mut world);
    let policy = (403, "policy".to_owned());
    let passed = (200, String::new());
    let run = run(&world, true, None, &["* api.x.test/v1/secret/**=deny", "GET api.x.test/v1/**=allow"]);
    let mut child = run.open();
    for (request, expected) in [
        ("GET /v1/a?b=c", &passed),
        ("POST /v1/a", &policy),
        ("GET /v1/secret/a", &policy),
        ("GET /v1/a/../secret/a", &policy),
        ("GET /v1/%73ecret/a", &policy),
        ("GET /v2", &policy),
        ("GET /v1/a|X-HTTP-Method-Override: PUT", &policy),
        ("GET /v1/a|Connection: Upgrade\r\nUpgrade: websocket", &policy),
        ("GET /v1/b", &passed),
    ] {
        assert_eq!(ask(&mut child, request), *expected, "{request}");
    }
    assert_eq!(upstream.connections(), 1, "and the connection goes on");
    drop(child);
    let (events, report) = run.stop();
    assert_eq!((report.requests, report.refused, report.requests_left), (2, 7, None));
    let denied: Vec<_> = events.iter().filter(|event| event.event == "proxy_deny").collect();
    assert_eq!(denied.len(), 7);
    assert!(denied.iter().all(|event| event.status.as_deref() == Some("policy") && event.provider.is_some()));
    let reason = denied[1].metadata["reason"].as_str().expect("a reason");
    assert_eq!(reason, "GET to api.x.test is refused: rule 1 of the run denies it");
}

#[test]
fn requests_are_counted_over_all_connections_and_only_those_that_go_out() {
    let mut world = World::new();
    let _upstream = upstream(&mut world);
    let run = run(&world, false, Some(3), &["GET api.x.test/**=allow"]);
    let (mut one, mut other) = (run.open(), run.open());
    assert_eq!(ask(&mut one, "PUT /").0, 403, "costs nothing");
    let asked = [ask(&mut one, "GET /1").0, ask(&mut other, "GET /2").0, ask(&mut one, "GET /3").0];
    assert_eq!(asked, [200; 3]);
    for child in [&mut one, &mut other] {
        assert_eq!(ask(child, "GET /4"), (403, "policy".to_owned()));
    }
    drop((one, other));
    let (_, report) = run.stop();
    assert_eq!((report.requests, report.requests_left), (3, Some(0)));
}

#[test]
fn plain_text_is_no_way_around() {
    let mut world = World::new();
    let _plain = world.plain_upstream(HOST, 80, |_| panic!("dialled"));
    let _other = world.plain_upstream("other.test", 80, |mut peer| {
        peer.request();
        peer.send("HTTP/1.1 204 No Content\r\n\r\n");
    });
    let run = run(&world, true, Some(1), &[]);
    for (host, status) in [(HOST, 403), ("other.test", 204)] {
        let mut child = Peer::new(run.dial());
        let head = format!("POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{}\r\n\r\n", authorization());
        child.send(&head);
        assert_eq!(child.response("POST").0.status, status, "{host}");
    }
    assert_eq!(run.stop().1.requests_left, Some(1), "hosts without a route are not the run's business");
}
