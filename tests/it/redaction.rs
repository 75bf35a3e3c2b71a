//! An API that repeats the key, written down by the encoders that APIs use, in every transport that clients know.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::harness::{Finished, KEY, World, python};
use crate::leaks;
use crate::upstream::Next;

/// Writes the key from its standard input in the ways of Python's libraries, one a line, and compresses the lines.
const ENCODERS: &str = r"
import base64, binascii, gzip, html, json, re, sys, urllib.parse, zlib
key = sys.stdin.read()
raw = key.encode()
pretty = json.dumps({'headers': {'Authorization': 'Bearer ' + key}}, indent=2)
basic = base64.b64encode(b'user:' + raw).decode()
forms = {
    'raw': raw, 'json': json.dumps(key), 'pretty': pretty, 'slashes': json.dumps(key).replace('/', r'\/'),
    'basic': basic, 'basic, json': json.dumps(basic).replace('/', r'\/'), 'basic, url': urllib.parse.quote_plus(basic),
    'base64': base64.b64encode(raw), 'base64 + 1': base64.b64encode(b'x' + raw), 'base64 + 2': base64.b64encode(b'xy' + raw),
    'urlsafe': base64.urlsafe_b64encode(raw), 'urlsafe + 1': base64.urlsafe_b64encode(b'x' + raw + b'z'),
    'hex': binascii.hexlify(raw), 'HEX': binascii.hexlify(raw).upper(),
    'quote': urllib.parse.quote(key), 'quote all': urllib.parse.quote(key, safe=''),
    'quote lower': re.sub('%..', lambda escape: escape[0].lower(), urllib.parse.quote(key, safe='')),
    'form': urllib.parse.urlencode({'key': key}), 'every byte': ''.join('%%%02x' % byte for byte in raw),
    'html': html.escape(key), 'references': ''.join('&#%d;' % ord(c) for c in key), 'hex references': ''.join('&#x%X;' % ord(c) for c in key),
    'xml': key.encode('ascii', 'xmlcharrefreplace'), 'units': ''.join('\\u%04X' % ord(c) for c in key),
    'utf-16-le': key.encode('utf-16-le'), 'utf-16-be': key.encode('utf-16-be'),
}
forms = {name: form if isinstance(form, bytes) else form.encode() for name, form in forms.items()}
body = b'\n'.join(forms.values()) + b'\n'
out = {'forms': forms, 'bodies': {'plain': body, 'gzip': gzip.compress(body), 'deflate': zlib.compress(body)}}
print(json.dumps({kind: {name: base64.b64encode(value).decode() for name, value in all.items()} for kind, all in out.items()}))
";

struct Encoded(Value);

impl Encoded {
    fn new(world: &World) -> Self {
        Self(world.command(python()).args(["-c", ENCODERS]).stdin(KEY).run().succeeds().json())
    }

    fn body(&self, coding: &str) -> Vec<u8> {
        STANDARD.decode(self.0["bodies"][coding].as_str().expect("base64")).expect("base64")
    }

    /// Nothing of the forms is in `seen`, which is as long as what the API sent.
    #[track_caller]
    fn assert_masked(&self, how: &str, seen: &[u8]) {
        let text = String::from_utf8_lossy(seen);
        assert_eq!(seen.len(), self.body("plain").len(), "{how}: {text}");
        assert_eq!(leaks::find(KEY, seen), None, "{how}: {text}");
        for (name, form) in self.0["forms"].as_object().expect("an object") {
            let form = STANDARD.decode(form.as_str().expect("base64")).expect("base64");
            assert!(memchr::memmem::find(seen, &form).is_none(), "{how}, {name}: {text}");
        }
        assert!(memchr::memmem::find(seen, &KEY.as_bytes()[4..20]).is_none(), "{how}: {text}");
        assert!(text.contains("\"Authorization\": \"Bearer ****"), "{how}: {text}");
    }
}

/// An API that answers with the encoded key: `/length`, `/chunked`, `/close`, `/gzip`, `/deflate`.
fn repeats(world: &World, encoded: &Encoded) {
    const TEXT: &str = "content-type: text/plain\r\n";
    let body = encoded.body("plain");
    let plain = body.clone();
    world.api.on("/length", move |exchange| exchange.respond("200 OK", TEXT, &plain));
    let pieces = body.clone();
    world.api.on("/chunked", move |exchange| {
        exchange.send(format!("HTTP/1.1 200 OK\r\n{TEXT}transfer-encoding: chunked\r\n\r\n"))?;
        for piece in pieces.chunks(7) {
            exchange.send([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat())?;
        }
        exchange.send("0\r\n\r\n")?;
        Ok(Next::KeepAlive)
    });
    world.api.on("/close", move |exchange| {
        exchange.send([format!("HTTP/1.1 200 OK\r\n{TEXT}connection: close\r\n\r\n").as_bytes(), &body].concat())?;
        Ok(Next::Close)
    });
    for coding in ["gzip", "deflate"] {
        let compressed = encoded.body(coding);
        let fields = format!("{TEXT}content-encoding: {coding}\r\n");
        world.api.on(&format!("/{coding}"), move |exchange| exchange.respond("200 OK", &fields, &compressed));
    }
}

#[test]
fn no_encoder_and_no_transport_brings_the_key_to_curl() {
    let world = World::connected();
    let encoded = Encoded::new(&world);
    repeats(&world, &encoded);
    for path in ["length", "chunked", "close", "gzip", "deflate"] {
        let ended =
            world.run(["curl", "-sS", "--compressed", &format!("https://api.demo.test/{path}")]).run().succeeds();
        encoded.assert_masked(path, &ended.stdout);
    }
    assert!(world.api.requests().iter().all(|seen| seen.header("accept-encoding") == Some("identity")));
}

#[test]
fn no_encoder_and_no_transport_brings_the_key_to_python() {
    let world = World::connected();
    let encoded = Encoded::new(&world);
    repeats(&world, &encoded);
    let code = "import requests, sys
session = requests.Session()
for path in ['length', 'chunked', 'close', 'gzip', 'deflate']:
    sys.stdout.buffer.write(session.get('https://api.demo.test/' + path).content)";
    let ended = world.run([python()]).args(["-c", code]).run().succeeds();
    let length = encoded.body("plain").len();
    assert_eq!(ended.stdout.len(), 5 * length);
    for (number, seen) in ended.stdout.chunks(length).enumerate() {
        encoded.assert_masked(&format!("answer {number}"), seen);
    }
}

#[track_caller]
fn assert_keyless(ended: &Finished) {
    assert_eq!(leaks::find(KEY, &[ended.stdout.as_slice(), &ended.stderr].concat()), None, "{ended}");
}

#[test]
fn redirects_cookies_and_events_keep_the_key_from_a_client() {
    let world = World::connected();
    let encoded = Encoded::new(&world);
    let form = STANDARD.decode(encoded.0["forms"]["form"].as_str().expect("base64")).expect("base64");
    let query = String::from_utf8(form).expect("ASCII");
    world.api.on("/start", move |exchange| {
        let fields = format!(
            "location: /v1/echo?{query}&next=1\r\nset-cookie: token=\"{KEY}\"; Path=/\r\nx-request-authorization: Bearer {KEY}\r\n"
        );
        exchange.respond("302 Found", &fields, b"")
    });
    world.api.on("/events", |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")?;
        for piece in [format!("data: {}", &KEY[..9]), format!("{}\n\n", &KEY[9..]), "data: [DONE]\n\n".to_owned()] {
            exchange.send(format!("{:x}\r\n{piece}\r\n", piece.len()))?;
        }
        exchange.send("0\r\n\r\n")?;
        Ok(Next::KeepAlive)
    });
    let code = "import requests
session = requests.Session()
answer = session.get('https://api.demo.test/start')
print(answer.history[0].headers, session.cookies.get_dict(), answer.json()['target'])
for line in session.get('https://api.demo.test/events', stream=True).iter_lines():
    print(line.decode())";
    let ended = world.run([python()]).args(["-c", code]).run().succeeds();
    assert_keyless(&ended);
    assert!(ended.out().contains("data: [DONE]") && ended.out().contains("data: ****"), "{ended}");
    let requests = world.api.requests();
    let followed = requests.iter().find(|seen| seen.target.starts_with("/v1/echo")).expect("it follows");
    assert!(followed.target.starts_with("/v1/echo?key=****") && followed.target.ends_with("&next=1"), "{followed:?}");
    let ended = world.run(["curl", "-sSvL", "https://api.demo.test/start"]).run().succeeds();
    assert_keyless(&ended);
}

#[test]
fn a_download_that_resumes_goes_on_and_a_text_in_pieces_does_not() {
    let world = World::connected();
    for (path, media_type) in [("/file", "application/zip"), ("/text", "application/json")] {
        world.api.on(path, move |exchange| {
            let fields = format!("content-type: {media_type}\r\ncontent-range: bytes 3-7/8\r\n");
            exchange.respond("206 Partial Content", &fields, b"34567")
        });
    }
    let part = world.scratch.file("part", "012");
    let resume = ["curl", "-sS", "-C", "-", "-o", &part.to_string_lossy(), "https://api.demo.test/file"];
    world.run(resume).run().succeeds();
    assert_eq!(std::fs::read(&part).expect("written"), b"01234567");
    let ended = world.run(["curl", "-sS", "-r", "3-7", "https://api.demo.test/text"]).run().succeeds();
    assert_eq!((&ended.json()["error"], ended.json()["hint"].is_string()), (&"policy".into(), true), "{ended}");
}
