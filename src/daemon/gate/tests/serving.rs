//! What good clients get.

use std::sync::Mutex;
use std::sync::mpsc;

use super::*;

#[test]
fn a_request_arrives_clean_and_whole() {
    let house = House::open(Limits::default());
    let mut client = house.visit();
    client.send(
        b"POST /a%2Fb?c=d HTTP/1.1\r\nHost: localhost:1\r\nauthorization: PoP x\r\nConnection: keep-alive, X-Hop\r\n\
          X-Hop: 1\r\nX-Authsome-Peer: 6.6.6.6:1\r\nX-Forwarded-For: 6.6.6.6\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello",
    );
    let seen = client.echoed("POST");
    assert_eq!(seen["method"], "POST");
    assert_eq!(seen["target"], "/a%2Fb?c=d");
    assert_eq!(seen["body"], "hello");
    assert_eq!(seen["peer"], "127.0.0.1");
    let names: Vec<&str> =
        seen["fields"].as_array().expect("fields").iter().filter_map(|field| field[0].as_str()).collect();
    assert_eq!(names, ["Host", "authorization"]);
    assert!(!seen.to_string().contains("6.6.6.6"), "a client cannot choose its peer address: {seen}");
}

#[test]
fn a_connection_serves_many_requests_and_pipelined_ones_in_order() {
    let house = House::open(Limits::default());
    let mut client = house.visit();
    assert_eq!(client.get("/1")["target"], "/1");
    client.send(
        b"GET /2 HTTP/1.1\r\nHost: localhost\r\n\r\nPOST /3 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nab\
          GET /4 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    for target in ["/2", "/3", "/4"] {
        assert_eq!(client.echoed("GET")["target"], target);
    }
    assert_eq!(client.get("/5")["body"], "", "the body of an earlier request is gone");
}

#[test]
fn nobody_gets_what_belongs_to_another() {
    let house = House::open(Limits::default());
    std::thread::scope(|scope| {
        for number in 0..32 {
            let mut client = house.visit();
            scope.spawn(move || {
                for turn in 0..50 {
                    let own = format!("{number}-{turn}");
                    let head = format!("POST /{own} HTTP/1.1\r\nHost: localhost\r\nCookie: {own}");
                    client.send(format!("{head}\r\nContent-Length: {}\r\n\r\n{own}", own.len()).as_bytes());
                    let seen = client.echoed("POST");
                    assert_eq!((&seen["target"], &seen["body"]), (&json!(format!("/{own}")), &json!(own)));
                    assert_eq!(seen["fields"][1], json!(["Cookie", own]));
                }
            });
        }
    });
}

#[test]
fn chunked_bodies_are_taken_apart() {
    let house = House::open(Limits::default());
    let mut client = house.visit();
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n");
    client.send(b"6\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n");
    let seen = client.echoed("POST");
    assert_eq!(seen["body"], "hello world");
    assert!(!seen["fields"].to_string().contains("chunked"), "the engine sees a length: {seen}");
    assert_eq!(client.get("/next")["target"], "/next");
}

#[test]
fn large_bodies_and_answers_go_through() {
    let limits = Limits::default();
    let house = House::with_handler(limits, |request| {
        Response::json(&json!({"length": request.body.len(), "text": "x".repeat(3_000_000)}))
    });
    let mut client = house.visit();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", limits.body_bytes).as_bytes());
    client.send(&vec![b'x'; limits.body_bytes]);
    let seen = client.echoed("POST");
    assert_eq!(seen["length"], limits.body_bytes);
    assert_eq!(seen["text"].as_str().map(str::len), Some(3_000_000));
}

#[test]
fn a_client_that_asks_is_invited_to_send_its_body() {
    let house = House::open(Limits::default());
    let mut client = house.visit();
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(client.answer("POST").0.status, 100);
    client.send(b"ok");
    assert_eq!(client.echoed("POST")["body"], "ok");
    assert_eq!(house.status(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\nContent-Length: 2\r\n\r\n"), 417);
    let refused = format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n", 1 << 30);
    assert_eq!(house.status(refused.as_bytes()), 413, "a body that will be refused is not asked for");
}

#[test]
fn old_clients_and_absolute_targets_are_served() {
    let house = House::open(Limits::default());
    let mut client = house.visit();
    client.send(b"GET /old HTTP/1.0\r\n\r\n");
    let seen = client.echoed("GET");
    assert_eq!(seen["target"], "/old");
    assert_eq!(seen["fields"][0], json!(["Host", house.address.to_string()]), "who names no host means this one");
    assert!(client.is_closed(), "a client of HTTP/1.0 does not know keep-alive");

    let mut client = house.visit();
    for _ in 0..2 {
        client.send(b"GET /kept HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let (head, _) = client.answer("GET");
        assert_eq!(head.fields.first("connection"), Some(&b"keep-alive"[..]));
    }

    let mut client = house.visit();
    client.send(b"GET http://localhost:9/x?y HTTP/1.1\r\nHost: elsewhere\r\n\r\n");
    let seen = client.echoed("GET");
    assert_eq!(seen["target"], "/x?y");
    assert_eq!(seen["fields"][0], json!(["Host", "localhost:9"]), "the target's authority counts (RFC 9112 3.2.2)");
    assert_eq!(seen["fields"].as_array().map(Vec::len), Some(1));
}

#[test]
fn bytes_outside_ascii_do_not_stop_the_engine() {
    let house = House::open(Limits::default());
    let mut client = house.visit();
    client.send("GET /caf\u{e9} HTTP/1.1\r\nHost: localhost\r\nCookie: a=\u{1f36a}; b=c\r\n\r\n".as_bytes());
    let seen = client.echoed("GET");
    assert_eq!(seen["target"], "/caf%C3%A9");
    assert!(seen["fields"].to_string().contains("; b=c"), "{seen}");
    assert_eq!(client.get("/next")["target"], "/next");
}

#[test]
fn head_has_the_length_of_get_and_no_body() {
    let house = House::open(Limits::default());
    let mut client = house.visit();
    client.send(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (head, _) = client.answer("HEAD");
    assert!(head.fields.first_str("content-length").is_some_and(|length| length != "0"));
    assert_eq!(client.get("/next")["target"], "/next", "nothing of a body came");
}

#[test]
fn close_is_obeyed_and_announced() {
    let house = House::open(Limits::default());
    let mut client = house.visit();
    client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(client.answer("GET").0.fields.first("connection"), Some(&b"close"[..]));
    assert!(client.is_closed());
}

#[test]
fn an_answer_without_a_body_is_complete() {
    let house = House::with_handler(Limits::default(), |_| empty(204));
    let mut client = house.visit();
    for _ in 0..2 {
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.answer("POST").0.status, 204);
    }
}

#[test]
fn a_value_cannot_write_the_rest_of_an_answer() {
    let house = House::with_handler(Limits::default(), |_| Response::redirect("/\r\nSet-Cookie: a=b"));
    let mut client = house.visit();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let (head, _) = client.answer("GET");
    assert_eq!((head.status, head.fields.contains("set-cookie")), (500, false));
}

#[test]
fn a_handler_that_panics_costs_one_request() {
    let house = House::with_handler(Limits::default(), |request| {
        assert!(request.target != "/panic", "on purpose");
        empty(204)
    });
    for _ in 0..100 {
        let mut client = house.visit();
        client.send(b"POST /panic HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.answer("POST").0.status, 500);
    }
    assert_eq!(house.status(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n"), 204);
}

#[test]
fn requests_that_wait_for_a_provider_do_not_hold_up_the_others() {
    let (release, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let house = House::with_handler(Limits::default(), move |request| {
        if request.method == "POST" {
            let _ = gate.lock().map(|gate| gate.recv());
        }
        empty(204)
    });
    let many = crate::limits::DAEMON_PATIENT_REQUESTS + 5;
    let mut waiting: Vec<Client> = (0..many).map(|_| house.visit()).collect();
    for client in &mut waiting {
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    assert_eq!(house.status(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"), 204);
    drop(release);
    for client in &mut waiting {
        assert_eq!(client.answer("POST").0.status, 204);
    }
}

#[test]
fn who_does_not_read_an_answer_holds_no_place() {
    let limits = Limits { patient: 1, ..Limits::default() };
    let house = House::with_handler(limits, |_| Response::json(&json!({"text": "x".repeat(15_000_000)})));
    let mut slow = house.visit();
    slow.send(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n");
    slow.stream.peek(&mut [0]).expect("the answer begins");
    assert_eq!(house.status(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    assert_eq!(slow.answer("POST").0.status, 200);
}

#[test]
fn a_stop_lets_the_request_under_way_finish() {
    let (started, has_started) = mpsc::channel::<()>();
    let (release, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let mut house = House::with_handler(Limits::default(), move |_| {
        let _ = started.send(());
        let _ = gate.lock().map(|gate| gate.recv());
        empty(204)
    });
    let (mut busy, mut fresh) = (house.visit(), house.visit());
    busy.send(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n");
    has_started.recv().expect("the handler runs");
    let gate = house.gate.take().expect("open");
    let stopping = std::thread::spawn(move || gate.stop(PATIENCE));
    assert!(fresh.is_closed(), "who has asked nothing is not waited for");
    drop(release);
    let (head, _) = busy.answer("POST");
    assert_eq!((head.status, head.fields.first("connection")), (204, Some(&b"close"[..])));
    stopping.join().expect("stops");
    assert!(TcpStream::connect(house.address).is_err(), "nobody listens any more");
}

#[test]
fn nobody_else_can_reach_the_engine() {
    let place = std::env::temp_dir().join(crate::paths::hex(&crate::secret::random_bytes::<8>()));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let too_long = place.join("x".repeat(120));
    let handler: Arc<Handler> = Arc::new(echo);
    let gate = Gate::start(listener, &[too_long, place.clone()], Limits::default(), &handler).expect("opens");
    assert_eq!(std::fs::read_dir(&place).expect("the place").count(), 1, "only the directory of the first place");
    gate.stop(Duration::ZERO);
    std::fs::remove_dir_all(place).expect("cleans up");
}
