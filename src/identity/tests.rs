//! The golden vectors of `contract/identity.md`, and a table of hostile proofs with the exact refusal of each.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_compact::{KeyPair, Seed};
use serde_json::{Value, json};

use super::ClaimFault::{Malformed, Mismatch, Missing, Past, TooFarAhead};
use super::{ClaimFault, PopError, Proof, SignedRequest, SigningKey, Verifier, is_valid_did};
use crate::clock::Timestamp;
use crate::limits::POP_TOKEN_BYTES;
use crate::secret::Secret;

const NOW: i64 = 1_790_000_005;
const HEADER: &str = r#"{"alg":"EdDSA","typ":"JWT"}"#;
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const DID: &str = "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw";
const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(seconds).expect("in range")
}

fn key() -> SigningKey {
    SigningKey::from_hex(&Secret::new(SEED.to_owned())).expect("valid")
}

/// A JWT over exactly these texts.
fn token(header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = key().secret_key().sign(&signed, None);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_slice()))
}

fn claims() -> Value {
    json!({"iss": DID, "sub": "brisk-boldly-clearly-1234", "aud": "authsome-daemon", "iat": NOW - 5, "exp": NOW + 55,
        "jti": "6f1c2b1e-7c0a-4a53-9a1e-0b6f7f3f0000", "htm": "GET", "htu": "/api/whoami", "body_sha256": EMPTY_SHA256})
}

fn claims_with(name: &str, value: Value) -> String {
    let mut claims = claims();
    claims[name] = value;
    claims.to_string()
}

fn claims_without(name: &str) -> String {
    let mut claims = claims();
    claims.as_object_mut().expect("an object").remove(name).expect("was there");
    claims.to_string()
}

/// The verdict on `GET /api/whoami` with these `Authorization` fields, by a daemon that has run for an hour.
fn verdict(authorization: &[&[u8]]) -> Result<Proof, PopError> {
    let request = SignedRequest { authorization, method: "GET", path_query: "/api/whoami", body: b"" };
    Verifier::new(at(NOW - 3600)).check(&request, at(NOW))
}

fn verdict_on_token(token: &str) -> Result<Proof, PopError> {
    verdict(&[format!("PoP {token}").as_bytes()])
}

fn verdict_on_claims(claims: &str) -> Result<Proof, PopError> {
    verdict_on_token(&token(HEADER, claims))
}

fn claim(claim: &'static str, fault: ClaimFault) -> Result<Proof, PopError> {
    Err(PopError::Claim { claim, fault })
}

fn golden() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/identity.json")).expect("JSON")
}

#[test]
fn golden_dids() {
    let golden = golden();
    let entries = golden["did_key"].as_array().expect("a list");
    assert!(entries.len() >= 5);
    for entry in entries {
        let seed = entry["seed_hex"].as_str().expect("text");
        let key = SigningKey::from_hex(&Secret::new(seed.to_owned())).expect("valid");
        assert_eq!(key.did(), entry["did"], "{seed}");
        assert_eq!(key.to_hex().expose(), seed);
        assert!(is_valid_did(&key.did()));
    }
}

#[test]
fn golden_proofs() {
    let golden = golden();
    let entries = golden["pop"].as_array().expect("a list");
    assert!(entries.len() >= 14);
    for entry in entries {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let (method, path_query) = (text(&entry["request"]["method"]), text(&entry["request"]["path_query"]));
        let (body, header) = (text(&entry["request"]["body"]), format!("PoP {}", text(&entry["token"])));
        let request = SignedRequest {
            authorization: &[header.as_bytes()],
            method: &method,
            path_query: &path_query,
            body: body.as_bytes(),
        };
        let now = entry["now"].as_i64().expect("seconds");
        let verdict = Verifier::new(at(now - 3600)).check(&request, at(now));
        assert_eq!(verdict.is_ok(), entry["expect"] == "ok", "{}: {verdict:?}", entry["name"]);
    }
}

#[test]
fn what_we_sign_passes_once() {
    let (key, verifier) = (SigningKey::generate(), Verifier::new(at(NOW)));
    for (method, path_query, body) in
        [("get", "/api/whoami", &b""[..]), ("POST", "/api/a%20b/%C3%BC?q=%20&r", b"{}"), ("DELETE", "/x?", b"\x00\xff")]
    {
        let header = format!("PoP {}", key.sign_request("calm-fox", method, path_query, body, at(NOW)));
        let request = SignedRequest { authorization: &[header.as_bytes()], method, path_query, body };
        let proof = verifier.check(&request, at(NOW)).expect(path_query);
        assert_eq!((proof.handle.as_str(), &proof.did, proof.exp), ("calm-fox", &key.did(), NOW + 60));
        assert_eq!(verifier.check(&request, at(NOW)).as_ref(), Ok(&proof), "a check uses nothing up");
        assert_eq!(verifier.remember(&proof, "fox", at(NOW)), Ok(()));
        assert_eq!(verifier.remember(&proof, "fox", at(NOW + 59)), Err(PopError::Replayed));
        assert_eq!(
            verifier.remember(&proof, "fox", at(NOW + 60)),
            Err(PopError::Claim { claim: "exp", fault: Past }),
            "it ended between check and use"
        );
    }
}

#[test]
fn the_header_field() {
    let good = format!("PoP {}", token(HEADER, &claims().to_string()));
    let good = good.as_bytes();
    let jwt = &good[4..];
    assert!(verdict(&[good]).is_ok());
    assert_eq!(verdict(&[]), Err(PopError::MissingHeader));
    for authorization in [
        &[good, good][..],
        &[good, b"Bearer x"],
        &[b""],
        &[b"PoP"],
        &[b"PoP "],
        &[b"Bearer x"],
        &[&[b"pop ", jwt].concat()],
        &[&[b"POP ", jwt].concat()],
        &[&[b"PoP\t", jwt].concat()],
        &[&[b" PoP ", jwt].concat()],
        &[jwt],
    ] {
        assert_eq!(verdict(authorization), Err(PopError::NotPop));
    }
    for authorization in [
        &[b"PoP  ", jwt].concat()[..],
        &[good, b" "].concat(),
        &[good, b","].concat(),
        &[good, b"."].concat(),
        &[good, b"="].concat(),
        b"PoP \xff",
        b"PoP a.b",
        b"PoP ..",
        b"PoP a.b.c.d",
    ] {
        assert_eq!(verdict(&[authorization]), Err(PopError::Malformed), "{}", authorization.escape_ascii());
    }
}

#[test]
fn the_framing_and_the_jwt_header() {
    let good = claims().to_string();
    for header in [
        r#"{"alg":"EdDSA"}"#,
        r#"{"typ":"anything","alg":"EdDSA"}"#,
        r#"{"alg":"EdDSA","typ":null,"kid":"1","x":{"y":[]}}"#,
    ] {
        assert!(verdict_on_token(&token(header, &good)).is_ok(), "{header}");
    }
    for header in ["none", "eddsa", "EDDSA", "EdDSA ", "Ed25519", "HS256", "ES256", ""] {
        let header = json!({"alg": header}).to_string();
        assert_eq!(verdict_on_token(&token(&header, &good)), Err(PopError::Algorithm), "{header}");
    }
    for header in [
        "",
        "null",
        "{}",
        "[]",
        r#"{"alg":null}"#,
        r#"{"alg":["EdDSA"]}"#,
        r#"{"alg":"EdDSA","alg":"EdDSA"}"#,
        r#"{"alg":"none","alg":"EdDSA"}"#,
        r#"{"alg":"EdDSA"} "x""#,
        r#"{"alg":"EdDSA","crit":["b64"],"b64":false}"#,
        r#"{"alg":"EdDSA","crit":null}"#,
        r#"{"alg":"EdDSA","cty":"CBOR"}"#,
    ] {
        assert_eq!(verdict_on_token(&token(header, &good)), Err(PopError::Malformed), "{header}");
    }
    let unsigned = token(r#"{"alg":"none"}"#, &good);
    let unsigned = &unsigned[..=unsigned.rfind('.').expect("three parts")];
    assert_eq!(verdict_on_token(unsigned), Err(PopError::Algorithm));
    let long = claims_with("padding", Value::from("x".repeat(POP_TOKEN_BYTES)));
    assert_eq!(verdict_on_claims(&long), Err(PopError::Malformed));
    let padded = token(HEADER, &good).replacen('.', "=.", 1);
    assert_eq!(verdict_on_token(&padded), Err(PopError::Malformed));
}

#[test]
fn claims_are_one_object_without_repetition() {
    let good = claims().to_string();
    let open = good.strip_suffix('}').expect("an object");
    assert!(verdict_on_claims(&format!("{open},\"more\":{{\"x\":[1,null]}}}}")).is_ok(), "unknown claims are ignored");
    for claims in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        format!("[{good}]"),
        format!("{good}{good}"),
        format!("{good},"),
        open.to_owned(),
        format!("{open},}}"),
        format!("{open},\"htm\":\"GET\"}}"),
        format!("{open},\"\\u0068tm\":\"GET\"}}"),
        format!("{open},\"x\":1,\"x\":1}}"),
        format!("{open},\"x\":{}1{}}}", "[".repeat(200), "]".repeat(200)),
        format!("{open},\"x\":\"\u{1}\"}}"),
    ] {
        assert_eq!(verdict_on_claims(&claims), Err(PopError::Malformed), "{claims}");
    }
}

#[test]
fn the_issuer_and_the_signature() {
    for (claims, fault) in [
        (claims_without("iss"), Missing),
        (claims_with("iss", json!("")), Malformed),
        (claims_with("iss", json!(["x"])), Malformed),
        (claims_with("iss", json!("did:web:example.test")), Malformed),
        (claims_with("iss", json!(format!("{DID}x"))), Malformed),
    ] {
        assert_eq!(verdict_on_claims(&claims), claim("iss", fault), "{claims}");
    }
    let other = SigningKey::generate().did();
    assert_eq!(verdict_on_claims(&claims_with("iss", json!(other))), Err(PopError::Signature));
    // The signature comes before every other claim.
    assert_eq!(verdict_on_claims(&json!({ "iss": other }).to_string()), Err(PopError::Signature));

    let good = token(HEADER, &claims().to_string());
    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    let with_signature = |bytes: &[u8]| verdict_on_token(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes)));
    assert!(with_signature(&signature).is_ok());
    for length in [0, 1, 32, 63] {
        assert_eq!(with_signature(&signature[..length]), Err(PopError::Signature), "{length} bytes");
    }
    assert_eq!(with_signature(&[&signature[..], &[0]].concat()), Err(PopError::Signature));
    for bit in 0..512 {
        let mut changed = signature.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(with_signature(&changed), Err(PopError::Signature), "bit {bit}");
    }
    assert_eq!(with_signature(&plus_group_order(&signature)), Err(PopError::Signature), "S + L is S, not reduced");
}

/// The same signature with the order of the group added to S: valid to a careless verifier (RFC 8032 section 5.1.7).
fn plus_group_order(signature: &[u8]) -> Vec<u8> {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut changed = signature.to_vec();
    let mut carry = 0;
    for (byte, order) in changed[32..].iter_mut().zip(ORDER) {
        carry += u16::from(*byte) + u16::from(order);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    assert_eq!(carry, 0);
    changed
}

#[test]
fn weak_keys_sign_nothing() {
    // With a key of small order, R = identity and S = 0 fit many messages.
    let identity_point: [u8; 32] = std::array::from_fn(|at| u8::from(at == 0));
    for weak in [[0; 32], identity_point] {
        let did = super::did::encode(&ed25519_compact::PublicKey::new(weak));
        let unsigned = token(HEADER, &claims_with("iss", json!(did)));
        let (signed, _) = unsigned.rsplit_once('.').expect("three parts");
        for r in [[0; 32], identity_point, KeyPair::from_seed(Seed::new([7; 32])).pk[..].try_into().expect("32 bytes")]
        {
            let forged = [r, [0; 32]].concat();
            let verdict = verdict_on_token(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(forged)));
            assert_eq!(verdict, Err(PopError::Signature));
        }
    }
}

#[test]
fn each_claim() {
    for (name, value, fault) in [
        ("aud", json!("authsome"), Mismatch),
        ("aud", json!("authsome-daemon "), Mismatch),
        ("aud", json!([]), Mismatch),
        ("aud", json!(["a", "b"]), Mismatch),
        ("aud", json!(""), Mismatch),
        ("aud", json!(null), Malformed),
        ("aud", json!(["authsome-daemon", 1]), Malformed),
        ("aud", json!({"authsome-daemon": 1}), Malformed),
        ("exp", json!(NOW), Past),
        ("exp", json!(NOW - 1), Past),
        ("exp", json!(0), Past),
        ("exp", json!(i64::MIN), Past),
        ("exp", json!(NOW + 301), TooFarAhead),
        ("exp", json!(i64::MAX), TooFarAhead),
        ("exp", json!(u64::MAX), Malformed),
        ("exp", json!(null), Malformed),
        ("exp", json!((NOW + 60).to_string()), Malformed),
        ("exp", json!(1_790_000_060.0), Malformed),
        ("exp", json!(true), Malformed),
        ("exp", json!([NOW + 60]), Malformed),
        ("iat", json!(NOW + 61), TooFarAhead),
        ("iat", json!(null), Malformed),
        ("iat", json!("0"), Malformed),
        ("iat", json!(1_790_000_000.5), Malformed),
        ("nbf", json!(NOW + 61), TooFarAhead),
        ("nbf", json!(null), Malformed),
        ("nbf", json!(false), Malformed),
        ("htm", json!("POST"), Mismatch),
        ("htm", json!("GET "), Mismatch),
        ("htm", json!(""), Malformed),
        ("htm", json!(["GET"]), Malformed),
        ("htu", json!("/api/whoami?"), Mismatch),
        ("htu", json!("/api/whoam"), Mismatch),
        ("htu", json!("http://localhost/api/whoami"), Mismatch),
        ("htu", json!(1), Malformed),
        ("body_sha256", json!(EMPTY_SHA256.to_uppercase()), Mismatch),
        ("body_sha256", json!(EMPTY_SHA256[..62]), Mismatch),
        ("body_sha256", json!(format!("{EMPTY_SHA256}00")), Mismatch),
        ("body_sha256", json!("0".repeat(64)), Mismatch),
        ("body_sha256", json!(""), Malformed),
        ("sub", json!(""), Malformed),
        ("sub", json!(null), Malformed),
        ("sub", json!(7), Malformed),
        ("jti", json!(""), Malformed),
        ("jti", json!(1), Malformed),
        ("jti", json!("x".repeat(129)), Malformed),
        ("jti", json!("é".repeat(65)), Malformed),
    ] {
        let claims = claims_with(name, value);
        assert_eq!(verdict_on_claims(&claims), claim(name, fault), "{claims}");
    }
    for name in ["aud", "exp", "htm", "htu", "body_sha256", "sub", "jti"] {
        assert_eq!(verdict_on_claims(&claims_without(name)), claim(name, Missing));
    }
}

#[test]
fn each_claim_at_its_limit() {
    for (name, value) in [
        ("aud", json!(["other", "authsome-daemon"])),
        ("exp", json!(NOW + 1)),
        ("exp", json!(NOW + 300)),
        ("iat", json!(NOW + 60)),
        ("iat", json!(NOW - 3600)),
        ("nbf", json!(NOW + 60)),
        ("nbf", json!(-1)),
        ("htm", json!("get")),
        ("jti", json!("x".repeat(128))),
        ("sub", json!("Anything else is an unknown handle")),
    ] {
        let claims = claims_with(name, value);
        assert!(verdict_on_claims(&claims).is_ok(), "{claims}");
    }
    assert!(verdict_on_claims(&claims_without("iat")).is_ok());
}

#[test]
fn the_first_broken_rule_is_named() {
    let order = ["aud", "exp", "iat", "nbf", "htm", "htu", "body_sha256", "sub", "jti"];
    let mut broken = claims();
    for name in order.into_iter().rev() {
        broken[name] = json!({});
        assert_eq!(verdict_on_claims(&broken.to_string()), claim(name, Malformed));
    }
}

#[test]
fn what_was_signed_before_the_start_is_refused() {
    let verdict = |claims: &str, started: i64| {
        let header = format!("PoP {}", token(HEADER, claims));
        let authorization: &[&[u8]] = &[header.as_bytes()];
        let request = SignedRequest { authorization, method: "GET", path_query: "/api/whoami", body: b"" };
        Verifier::new(at(started)).check(&request, at(NOW)).map(|_| ())
    };
    let with_iat = claims().to_string();
    assert_eq!(verdict(&with_iat, NOW - 5), Ok(()), "the second of the start counts as after it");
    assert_eq!(verdict(&with_iat, NOW - 4), Err(PopError::BeforeStart));
    let without_iat = claims_without("iat");
    assert_eq!(verdict(&without_iat, NOW - 5), Ok(()), "exp - 60");
    assert_eq!(verdict(&without_iat, NOW - 4), Err(PopError::BeforeStart));
    let wrong_too = claims_with("jti", json!(""));
    assert_eq!(verdict(&wrong_too, NOW - 4), Err(PopError::Claim { claim: "jti", fault: Malformed }));
}

#[test]
fn of_many_who_use_one_proof_one_succeeds() {
    let verifier = Verifier::new(at(NOW));
    let proof = Proof { handle: "calm-fox".into(), did: DID.into(), jti: "one".into(), exp: NOW + 60 };
    let uses = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| verifier.remember(&proof, "fox", at(NOW)).is_ok())).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).filter(|used| *used).count()
    });
    assert_eq!(uses, 1);
    let elsewhere = Proof { handle: "other".into(), did: "other".into(), ..proof };
    assert_eq!(verifier.remember(&elsewhere, "fox", at(NOW)), Err(PopError::Replayed), "one name space for everybody");
}

#[test]
fn texts_are_those_of_the_contract() {
    for (error, text) in [
        (PopError::MissingHeader, "Missing PoP authorization header"),
        (PopError::NotPop, "Expected Authorization: PoP <jwt>"),
        (PopError::Replayed, "Proof JWT was already used"),
        (PopError::Claim { claim: "body_sha256", fault: Mismatch }, "Proof JWT claim body_sha256 does not match"),
        (PopError::Claim { claim: "exp", fault: Past }, "Proof JWT claim exp is in the past"),
        (PopError::BeforeStart, "Proof JWT was signed before the daemon started"),
    ] {
        assert_eq!(error.to_string(), text);
    }
}
