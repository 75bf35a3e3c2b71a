//! Real clients, as people use them. Each asserts what the API saw and what the client had.

use std::io;
use std::path::Path;
use std::process::Command;

use crate::harness::{Finished, KEY, PLACEHOLDER, World, node, python};
use crate::upstream::{Exchange, Next};

/// The API saw the key, once; nothing that the client printed holds it.
#[track_caller]
fn assert_injected(world: &World, ended: &Finished) {
    let seen = world.api.only_request();
    assert_eq!(seen.head.all("authorization"), [format!("Bearer {KEY}")], "{seen:#?}");
    assert!(!String::from_utf8_lossy(&seen.raw()).contains(PLACEHOLDER), "{seen:#?}");
    assert!(!ended.out().contains(KEY) && !ended.err().contains(KEY), "{ended}");
}

/// Runs `script` with `interpreter -c`.
fn script(world: &World, interpreter: &Path, flag: &str, script: &str) -> Finished {
    world.run([interpreter]).args([flag, script]).run().succeeds()
}

#[test]
fn curl() {
    let world = World::connected();
    let ended = world.run(["curl", "-sS", "https://api.demo.test/v1/echo?q=1"]).run().succeeds();
    assert_eq!(ended.json()["target"], "/v1/echo?q=1");
    assert_injected(&world, &ended);
}

#[test]
fn curl_with_the_placeholder() {
    let world = World::connected();
    let fetch = r#"curl -sS -H "Authorization: Bearer $DEMO_API_KEY" -d body=1 https://api.demo.test/v1/echo"#;
    let ended = world.run(["sh", "-c", fetch]).run().succeeds();
    assert_injected(&world, &ended);
    assert_eq!(world.api.only_request().body, b"body=1");
}

#[test]
fn python_requests() {
    let world = World::connected();
    let code = "import os, requests
key = os.environ['DEMO_API_KEY']
answer = requests.post('https://api.demo.test/v1/echo', json={'a': 1}, headers={'Authorization': 'Bearer ' + key})
print(answer.status_code, answer.json()['method'], key)";
    let ended = script(&world, &python(), "-c", code).says(&format!("200 POST {PLACEHOLDER}"));
    assert_injected(&world, &ended);
}

#[test]
fn python_httpx() {
    let world = World::connected();
    let code = "import httpx
with httpx.Client() as client:
    with client.stream('GET', 'https://api.demo.test/v1/echo') as answer:
        print(answer.status_code, len(answer.read()) > 10)";
    let ended = script(&world, &python(), "-c", code).says("200 True");
    assert_injected(&world, &ended);
}

#[test]
fn python_urllib() {
    let world = World::connected();
    let code = "import urllib.request
print(urllib.request.urlopen('https://api.demo.test/v1/echo', data=b'x').status)";
    let ended = script(&world, &python(), "-c", code).says("200");
    assert_injected(&world, &ended);
}

#[test]
fn node_fetch() {
    let world = World::connected();
    let code =
        "fetch('https://api.demo.test/v1/echo', {headers: {authorization: 'Bearer ' + process.env.DEMO_API_KEY}})
        .then(async (answer) => console.log(answer.status, (await answer.json()).method))";
    let ended = script(&world, &node(), "-e", code).says("200 GET");
    assert_injected(&world, &ended);
}

#[test]
fn the_openai_sdk() {
    let world = World::onboarded();
    world.login("openai", KEY);
    let code = "import openai
client = openai.OpenAI()
print(client.api_key)
chat = dict(model='test', messages=[{'role': 'user', 'content': 'hi'}])
print(client.chat.completions.create(**chat).choices[0].message.content)
pieces = [event.choices[0].delta.content for event in client.chat.completions.create(stream=True, **chat)]
print(pieces)";
    let ended = script(&world, &python(), "-c", code).says(PLACEHOLDER).says("hello").says("['hel', 'lo']");
    let seen = world.api.wait_for("/v1/chat/completions", 2);
    for one in &seen {
        assert_eq!(one.sni.as_deref(), Some("api.openai.com"));
        assert_eq!(one.head.all("authorization"), [format!("Bearer {KEY}")], "{one:#?}");
    }
    assert!(!ended.out().contains(KEY), "{ended}");
}

#[test]
fn a_host_that_no_provider_names_is_none_of_our_business() {
    let world = World::connected();
    let fetch = r#"curl -sS -H "X-Mine: $DEMO_API_KEY" https://stranger.test/v1/echo"#;
    world.run(["sh", "-c", fetch]).run().succeeds().says("stranger.test");
    let seen = world.api.only_request();
    assert_eq!((seen.header("authorization"), seen.header("x-mine")), (None, Some(PLACEHOLDER)));
}

#[test]
fn a_redirect_to_a_stranger_does_not_carry_the_key() {
    let world = World::connected();
    world.api.on("/go", |exchange| exchange.respond("302 Found", "location: https://stranger.test/v1/echo\r\n", b""));
    let fetch = r#"curl -sSL -H "Authorization: Bearer $DEMO_API_KEY" https://api.demo.test/go"#;
    world.run(["sh", "-c", fetch]).run().succeeds();
    let seen = world.api.requests();
    assert_eq!(seen.len(), 2, "{seen:#?}");
    assert!(!String::from_utf8_lossy(&seen[1].raw()).contains(KEY), "{:#?}", seen[1]);
}

/// The upstream of a WebSocket: agrees to the handshake (RFC 6455 section 4.2.2), then echoes short text frames.
fn echo_frames(exchange: &mut Exchange<'_>) -> io::Result<Next> {
    let key = exchange.head.field("sec-websocket-key").unwrap_or_default();
    let code = "import base64, hashlib, sys
print(base64.b64encode(hashlib.sha1((sys.argv[1] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').encode()).digest()).decode())";
    let accept = Command::new(python()).args(["-c", code, key]).output()?.stdout;
    let accept = String::from_utf8_lossy(&accept).trim().to_owned();
    exchange.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
    ))?;
    loop {
        let head = exchange.read_exactly(6)?; // two bytes, and the mask of a client's frame
        let length = head[1] & 0x7f;
        let masked = exchange.read_exactly(length.into())?;
        let text: Vec<u8> = masked.iter().zip(head[2..].iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        exchange.send([&[head[0], length], text.as_slice()].concat())?;
        if head[0] & 0x0f == 8 {
            return Ok(Next::Close);
        }
    }
}

/// The handshake had the key; the frames were the client's own.
#[track_caller]
fn assert_upgraded(world: &World) {
    let seen = world.api.only_request();
    assert_eq!(seen.head.all("authorization"), [format!("Bearer {KEY}")], "{seen:#?}");
    assert_eq!(seen.header("upgrade"), Some("websocket"));
    assert!(!String::from_utf8_lossy(&seen.raw()).contains(PLACEHOLDER), "{seen:#?}");
}

#[test]
fn node_websocket() {
    let world = World::connected();
    world.api.on("/live", echo_frames);
    let code = "const socket = new WebSocket('wss://api.demo.test/live')
        socket.onopen = () => socket.send(process.env.DEMO_API_KEY)
        socket.onmessage = (event) => { console.log('echo', event.data); socket.close(1000) }
        socket.onclose = (event) => console.log('closed', event.code, event.wasClean)";
    script(&world, &node(), "-e", code).says(&format!("echo {PLACEHOLDER}")).says("closed 1000 true");
    assert_upgraded(&world);
}

#[test]
fn python_websocket_by_hand() {
    let world = World::connected();
    world.api.on("/live", echo_frames);
    let code = "import base64, os, socket, ssl, urllib.parse
proxy = urllib.parse.urlsplit(os.environ['HTTPS_PROXY'])
raw = socket.create_connection((proxy.hostname, proxy.port))
login = base64.b64encode(f'{proxy.username}:{proxy.password}'.encode()).decode()
raw.sendall(f'CONNECT api.demo.test:443 HTTP/1.1\\r\\nHost: api.demo.test:443\\r\\nProxy-Authorization: Basic {login}\\r\\n\\r\\n'.encode())
def head(stream):
    text = b''
    while not text.endswith(b'\\r\\n\\r\\n'):
        text += stream.recv(1)
    return text.decode()
assert ' 200 ' in head(raw)
tls = ssl.create_default_context().wrap_socket(raw, server_hostname='api.demo.test')
key = os.environ['DEMO_API_KEY']
tls.sendall(f'GET /live HTTP/1.1\\r\\nHost: api.demo.test\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\nAuthorization: Bearer {key}\\r\\n'
    'Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n'.encode())
print([line for line in head(tls).lower().split('\\r\\n') if line.startswith('sec-websocket-accept')])
mask = os.urandom(4)
tls.sendall(b'\\x81\\x85' + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(b'hello')))
print(tls.recv(7))
tls.sendall(b'\\x88\\x80' + mask)
print(tls.recv(2), tls.recv(1))";
    let ended = script(&world, &python(), "-c", code);
    ended.says("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=").says(r"b'\x81\x05hello'").says(r"b'\x88\x00' b''");
    assert_upgraded(&world);
}
