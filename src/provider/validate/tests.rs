//! Tables of what is taken and what is refused.

use super::*;
use crate::provider::parse_definition;

const KEY: &str = r#""name":"acme","auth_type":"api_key","flow":"api_key""#;
const OAUTH: &str = r#""name":"acme","auth_type":"oauth2","flow":"pkce""#;
const URLS: &str = r#""authorization_url":"https://a.test/auth","token_url":"https://a.test/token""#;
const BROWSER: &str = r#""name":"acme","auth_type":"browser","flow":"browser""#;

fn check(text: &str, allow_local: bool) -> Result<()> {
    let definition = parse_definition(format!("{{{text}}}").as_bytes()).expect("parses");
    validate(&definition, ValidateOptions { allow_local })
}

fn key(rest: &str) -> String {
    format!("{KEY},{rest}")
}

fn oauth(rest: &str) -> String {
    format!("{OAUTH},\"oauth\":{{{URLS},{rest}}}")
}

#[test]
fn what_schema_1_and_we_can_say_is_taken() {
    for text in [
        KEY.to_owned(),
        key(
            r#""api_url":["api.acme.test","https://api.acme.test:8443/v1","*.acme.test","{shop}.acme.test/x","{base_url}/api",
            "regex:^[a-z]+\\.acme\\.test$"],"fields":[{"name":"shop"}],"future":{"x":1}"#,
        ),
        key(r#""docs_url":"https://acme.test/docs?x=1#y","logo":"acme","metadata":{"a":1},"key_hint":"(?=python)""#),
        key(r#""export":{"env":{"api_key":"ACME_KEY"},"ACME_URL":"API_URL"}"#),
        key(r#""api_key":{"header_name":"X-Key","header_prefix":null,"env_var":"ACME_KEY","key_pattern":"^(?P<x>a)"}"#),
        key(r#""inject":[{"in":"basic","value":"{api_key}:"},{"in":"query","name":"k","value":"{api_key}"}],
            "strip":[{"in":"header","name":"X-Old"}],"default_headers":{"revision":"1"}"#),
        key(
            r#""inject":[{"in":"header","name":"Authorization","value":"A {api_key}","when":{"field":"api_key","prefix":["a-"]}},
            {"in":"basic","value":"{api_key}:","when":{"field":"api_key","not_prefix":["a-"]}}]"#,
        ),
        oauth(r#""revocation_url":"http://127.0.0.1:8080/revoke","scopes":["a:b","https://x.test/y"]"#),
        oauth(
            r#""base_url":"https://a.test","device_authorization_url":"{base_url}/device","supports_device_code":true,
            "revoke":{"url":"https://a.test/{client_id}","method":"DELETE","body":"json","auth":"basic"}"#,
        ),
        format!(r#"{OAUTH},"flow2":1,"oauth":{{"authorization_url":"{{base_url}}/a","token_url":"{{base_url}}/t"}}"#),
        r#""name":"a","auth_type":"oauth2","flow":"dcr_pkce","oauth":{"base_url":"https://mcp.acme.test"}"#.to_owned(),
        format!(
            r#"{BROWSER},"api_url":["acme.test","*.acme.test","regex:.*\\.api\\.acme\\.test"],"browser":{{"auth_cookies":["s"],"domains":[".acme.test"],"entry_url":"https://acme.test",
            "extract":[{{"cookie":"c","header":"x-c"}}]}},"export":{{"C":"c","S":"s"}}"#
        ),
    ] {
        check(&text, false).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

#[test]
fn names() {
    for name in ["a", "1password", "A.b_c-d", &"a".repeat(64)] {
        assert!(is_provider_name(name), "{name}");
    }
    for name in [
        "",
        ".",
        "-a",
        "_a",
        ".a",
        "a..b",
        "../x",
        "a/b",
        "a\\b",
        "a b",
        "a\n",
        "a\0",
        "\u{e9}",
        "a%2e",
        &"a".repeat(65),
    ] {
        assert!(!is_provider_name(name), "{name:?}");
        let text = format!(r#""name":{},"auth_type":"api_key","flow":"api_key""#, Value::from(name));
        let error = check(&text, true).expect_err("is refused").to_string();
        assert!(error.starts_with("Invalid provider schema: name: must be"), "{error}");
    }
}

#[test]
fn local_destinations_need_permission() {
    for url in [
        "localhost",
        "https://localhost:8443",
        "http://127.0.0.1:8080",
        "https://[::1]",
        "https://10.0.0.1/x",
        "intranet",
    ] {
        let text = key(&format!(r#""api_url":"{url}""#));
        assert!(check(&text, false).is_err(), "{url}");
        check(&text, true).unwrap_or_else(|error| panic!("{url}: {error}"));
    }
    for url in ["http://api.acme.test", "http://10.0.0.1", "*.localhost", "127.1", "0x7f000001", "regex:localhost"] {
        assert!(check(&key(&format!(r#""api_url":"{url}""#)), true).is_err(), "{url}");
    }
}

/// Each text is refused, and the error names the field.
fn refused(cases: &[(String, &str)]) {
    for (text, field) in cases {
        let error = check(text, false).expect_err(text).to_string();
        let reason = error.split("Invalid provider schema: ").nth(1).expect("has the prefix");
        assert!(reason.starts_with(&format!("{field}: ")), "{text}: {error}");
    }
}

#[test]
fn texts_and_flows() {
    refused(&[
        (key(r#""schema_version":2"#), "schema_version"),
        (key(r#""display_name":"a\u001b[2Jb""#), "display_name"),
        (key(r#""description":"a\nb""#), "description"),
        (key("\"description\":\"a\u{202e}b\""), "description"),
        (key(&format!(r#""description":"{}""#, "x".repeat(TEXT_BYTES + 1))), "description"),
        (key(r#""logo":"javascript:alert(1)""#), "logo"),
        (key(&format!(r#""future":"{}""#, "x".repeat(DEFINITION_BYTES - 100))), "definition"),
        (r#""name":"a","auth_type":"api_key","flow":"pkce""#.into(), "flow"),
        (r#""name":"a","auth_type":"oauth2","flow":"api_key""#.into(), "flow"),
        (r#""name":"a","auth_type":"oauth2","flow":"browser""#.into(), "flow"),
        (r#""name":"a","auth_type":"browser","flow":"api_key""#.into(), "flow"),
    ]);
}

#[test]
fn login_settings() {
    refused(&[
        (OAUTH.into(), "oauth"),
        (format!(r#"{OAUTH},"oauth":{{"token_url":"https://a.test"}}"#), "oauth.authorization_url"),
        (format!(r#"{OAUTH},"oauth":{{"authorization_url":"https://a.test"}}"#), "oauth.token_url"),
        (
            r#""name":"a","auth_type":"oauth2","flow":"device_code","oauth":{"token_url":"https://a.test"}"#.into(),
            "oauth.device_authorization_url",
        ),
        (r#""name":"a","auth_type":"oauth2","flow":"dcr_pkce","oauth":{}"#.into(), "oauth.authorization_url"),
        (oauth(r#""supports_device_code":true"#), "oauth.supports_device_code"),
        (oauth(r#""authorization_method":"jwt""#), "oauth.authorization_method"),
        (oauth(r#""device_token_request":"xml""#), "oauth.device_token_request"),
        (oauth(r#""token_request":"xml""#), "oauth.token_request"),
        (oauth(r#""client_type":"secret""#), "oauth.client_type"),
        (oauth(r#""redirect_path":"/evil""#), "oauth.redirect_path"),
        (oauth(r#""token_path":"a..b""#), "oauth.token_path"),
        (oauth(r#""scope_parameter":"a&b""#), "oauth.scope_parameter"),
        (oauth(r#""scope_separator":"x""#), "oauth.scope_separator"),
        (oauth(r#""scopes":["a b"]"#), "oauth.scopes"),
        (oauth(r#""scopes":["a,b"],"scope_separator":",""#), "oauth.scopes"),
        (oauth(r#""scopes":[""]"#), "oauth.scopes"),
        (oauth(r#""authorization_params":{"a":"b\r\nc"}"#), "oauth.authorization_params"),
        (oauth(r#""revoke":{"body":"json"}"#), "oauth.revoke.url"),
        (oauth(r#""revoke":{"url":"https://a.test/x","method":"GET"}"#), "oauth.revoke.method"),
        (oauth(r#""revoke":{"url":"https://a.test/x","body":"xml"}"#), "oauth.revoke.body"),
        (oauth(r#""revoke":{"url":"https://a.test/x","auth":"mtls"}"#), "oauth.revoke.auth"),
        (oauth(r#""revoke":{"url":"https://a.test/x","only":"both"}"#), "oauth.revoke.only"),
        (oauth(r#""dead_grant":{"a b":"c"}"#), "oauth.dead_grant"),
        (oauth(r#""dead_grant":{"error":""}"#), "oauth.dead_grant"),
        (oauth(r#""dead_grant":{"error":"a\nb"}"#), "oauth.dead_grant"),
        (oauth(r#""revoke":{"url":"https://a.test/x","token_field":"a b"}"#), "oauth.revoke.token_field"),
        (oauth(r#""revoke":{"url":"https://a.test/x","headers":{"Host":"evil"}}"#), "oauth.revoke.headers"),
        (oauth(r#""revoke":{"url":"{api_url}/x"}"#), "oauth.revoke.url"),
        (oauth(r#""revoke":{"url":"https://{client_id}/x/{secret}"}"#), "oauth.revoke.url"),
        (oauth(r#""base_url":"http://a.test""#), "oauth.base_url"),
        (oauth(r#""revocation_url":"http://a.test""#), "oauth.revocation_url"),
        (oauth(r#""revocation_url":"https://x@a.test""#), "oauth.revocation_url"),
        (oauth(r#""revocation_url":"https://a.test\\@evil.test""#), "oauth.revocation_url"),
        (oauth(r#""revocation_url":"https://""#), "oauth.revocation_url"),
        (oauth(r#""revocation_url":"ftp://a.test""#), "oauth.revocation_url"),
        (oauth(r#""revocation_url":"https://*.a.test""#), "oauth.revocation_url"),
        (oauth(r#""revocation_url":"https://a.test/{x}""#), "oauth.revocation_url"),
        (oauth(r#""revocation_url":"https://{base_url}/x""#), "oauth.revocation_url"),
        (oauth(r#""revocation_url":"http://0.0.0.0/""#), "oauth.revocation_url"),
        (
            oauth(r#""device_authorization_url":"{base_url}.evil.test/x","base_url":"https://a.test:80""#),
            "oauth.device_authorization_url",
        ),
        (key(r#""registration":{"registration_endpoint":"a.test"}"#), "registration.registration_endpoint"),
    ]);
}

#[test]
fn browser_settings() {
    refused(&[
        (BROWSER.into(), "browser"),
        (format!(r#"{BROWSER},"browser":{{"auth_cookies":[],"domains":["a.test"]}}"#), "browser.auth_cookies"),
        (format!(r#"{BROWSER},"browser":{{"auth_cookies":["a;b"],"domains":["a.test"]}}"#), "browser.auth_cookies"),
        (format!(r#"{BROWSER},"browser":{{"auth_cookies":["a"],"domains":[]}}"#), "browser.domains"),
        (format!(r#"{BROWSER},"browser":{{"auth_cookies":["a"],"domains":["com"]}}"#), "browser.domains"),
        (format!(r#"{BROWSER},"browser":{{"auth_cookies":["a"],"domains":[".co.uk"]}}"#), "browser.domains"),
        (format!(r#"{BROWSER},"browser":{{"auth_cookies":["a"],"domains":["a.test/x"]}}"#), "browser.domains"),
        (
            format!(r#"{BROWSER},"browser":{{"auth_cookies":["a"],"domains":["a.test"],"ttl_hours":-1}}"#),
            "browser.ttl_hours",
        ),
        (
            format!(
                r#"{BROWSER},"browser":{{"auth_cookies":["a"],"domains":["a.test"],"entry_url":"file:///etc/passwd"}}"#
            ),
            "browser.entry_url",
        ),
        (
            format!(
                r#"{BROWSER},"browser":{{"auth_cookies":["a"],"domains":["a.test"],"extra_headers":{{"Cookie":"x"}}}}"#
            ),
            "browser.extra_headers",
        ),
        (
            format!(
                r#"{BROWSER},"browser":{{"auth_cookies":["a"],"domains":["a.test"],"extract":[{{"cookie":"a","header":"Host"}}]}}"#
            ),
            "browser.extract[0].header",
        ),
        (
            format!(
                r#"{BROWSER},"browser":{{"auth_cookies":["a"],"domains":["a.test"],"extra_headers":{{"X-A":"1"}},"extract":[{{"cookie":"a","header":"x-a"}}]}}"#
            ),
            "browser.extract[0].header",
        ),
        (
            format!(r#"{BROWSER},"api_url":"api.evil.test","browser":{{"auth_cookies":["a"],"domains":[".a.test"]}}"#),
            "api_url[0]",
        ),
        (
            format!(r#"{BROWSER},"api_url":"evila.test","browser":{{"auth_cookies":["a"],"domains":[".a.test"]}}"#),
            "api_url[0]",
        ),
        (
            format!(r#"{BROWSER},"api_url":"*.test.a","browser":{{"auth_cookies":["a"],"domains":[".a.test"]}}"#),
            "api_url[0]",
        ),
        (
            format!(
                r#"{BROWSER},"api_url":"regex:.*\\.evil\\.test|x\\.a\\.test","browser":{{"auth_cookies":["a"],"domains":[".a.test"]}}"#
            ),
            "api_url[0]",
        ),
        (
            format!(
                r#"{BROWSER},"api_url":"x.a.test","browser":{{"auth_cookies":["a"],"domains":[".a.test"],"validate_url":"https://evil.test/me"}}"#
            ),
            "browser.validate_url",
        ),
    ]);
}

#[test]
fn destinations_and_pages() {
    refused(&[
        (key(r#""docs_url":"javascript:alert(1)""#), "docs_url"),
        (key(r#""docs_url":"https://a.test/\"><script>""#), "docs_url"),
        (key(r#""api_url":"*.com""#), "api_url[0]"),
        (key(r#""api_url":["api.acme.test","*.co.uk"]"#), "api_url[1]"),
        (key(r#""api_url":"*.github.io""#), "api_url[0]"),
        (key(r#""api_url":"regex:.*googleapis.*""#), "api_url[0]"),
        (key(r#""api_url":"regex:.*githubusercontent\\.com$""#), "api_url[0]"),
        (key(r#""api_url":"regex:[""#), "api_url[0]"),
        (key(r#""api_url":"http://api.acme.test""#), "api_url[0]"),
        (key(r#""api_url":"https://api.acme.test/a/../b""#), "api_url[0]"),
        (key(r#""api_url":"{shop}.acme.test""#), "api_url[0]"),
        (key(r#""api_url":"{base_url}.evil.test""#), "api_url[0]"),
        (key(r#""api_url":"x{base_url}/api""#), "api_url[0]"),
        (key(r#""api_url":"{api_url}/x""#), "api_url[0]"),
        (key(r#""api_url":"{shop}.test","fields":[{"name":"shop"}]"#), "api_url[0]"),
        (key(r#""api_url":"{shop}","fields":[{"name":"shop"}]"#), "api_url[0]"),
        (key(r#""api_url":"{shop}.acme.test","fields":[{"name":"shop","format":"host"}]"#), "api_url[0]"),
        (key(&format!(r#""api_url":[{}"a.acme.test"]"#, r#""a.acme.test","#.repeat(LIST_ENTRIES))), "api_url"),
        (key(r#""api_url":"{api_key}.acme.test""#), "api_url[0]"),
        (key(r#""api_url":"{a}.acme.test","fields":[{"name":"a","secret":true}]"#), "api_url[0]"),
        (key(r#""api_url":"-{a}.acme.test","fields":[{"name":"a"}]"#), "api_url[0]"),
        (key(r#""api_url":"a b{a}.acme.test","fields":[{"name":"a"}]"#), "api_url[0]"),
    ]);
}

#[test]
fn fields() {
    refused(&[
        (key(r#""fields":[{"name":"a b"}]"#), "fields[0].name"),
        (key(r#""fields":[{"name":"a"},{"name":"a"}]"#), "fields[1].name"),
        (key(r#""fields":[{"name":"refresh_token"}]"#), "fields[0].name"),
        (key(r#""fields":[{"name":"a","label":"\u0007"}]"#), "fields[0].label"),
        (key(r#""fields":[{"name":"a","secret":true,"default":"x"}]"#), "fields[0].default"),
        (key(r#""fields":[{"name":"a","env_var":"LD_PRELOAD"}]"#), "fields[0].env_var"),
        (key(r#""fields":[{"name":"a","derive":{"from":"b","after_last":"-"}}]"#), "fields[0].derive.from"),
        (key(r#""fields":[{"name":"a","derive":{"from":"a","after_last":"-"}}]"#), "fields[0].derive.from"),
        (key(r#""fields":[{"name":"a","derive":{"from":"api_key","after_last":""}}]"#), "fields[0].derive.after_last"),
    ]);
}

#[test]
fn slots_and_headers() {
    refused(&[
        (key(r#""api_key":{"header_name":"Host"}"#), "api_key.header_name"),
        (key(r#""api_key":{"header_name":"Transfer-Encoding"}"#), "api_key.header_name"),
        (key(r#""api_key":{"header_name":"Proxy-Authorization"}"#), "api_key.header_name"),
        (key(r#""api_key":{"header_name":"X Key"}"#), "api_key.header_name"),
        (key(r#""api_key":{"header_name":""}"#), "api_key.header_name"),
        (key(r#""api_key":{"header_name":"X-Key\r\nX-Evil"}"#), "api_key.header_name"),
        (key(r#""api_key":{"header_prefix":"Bearer\r\n"}"#), "api_key.header_prefix"),
        (key(r#""api_key":{"header_prefix":"{api_key}"}"#), "api_key.header_prefix"),
        (key(r#""api_key":{"env_var":"PATH"}"#), "api_key.env_var"),
        (key(r#""api_key":{"env_var":"A-B"}"#), "api_key.env_var"),
        (key(r#""inject":[{"in":"header","name":"X","value":"{apikey}"}]"#), "inject[0].value"),
        (key(r#""inject":[{"in":"header","name":"X","value":"{access_token}"}]"#), "inject[0].value"),
        (key(r#""inject":[{"in":"header","name":"X","value":"{refresh_token}"}]"#), "inject[0].value"),
        (key(r#""inject":[{"in":"header","name":"X","value":"{api_key"}]"#), "inject[0].value"),
        (key(r#""inject":[{"in":"header","name":"X","value":"a\r\nb"}]"#), "inject[0].value"),
        (key(r#""inject":[{"in":"header","name":"X","value":""}]"#), "inject[0].value"),
        (key(r#""inject":[{"in":"header","value":"{api_key}"}]"#), "inject[0].name"),
        (key(r#""inject":[{"in":"header","name":"Cookie","value":"{api_key}"}]"#), "inject[0].name"),
        (key(r#""inject":[{"in":"header","name":"content-length","value":"1"}]"#), "inject[0].name"),
        (key(r#""inject":[{"in":"query","name":"a&b","value":"{api_key}"}]"#), "inject[0].name"),
        (key(r#""inject":[{"in":"cookie","name":"a=b","value":"{api_key}"}]"#), "inject[0].name"),
        (key(r#""inject":[{"in":"cookie","name":"a","value":"{api_key}; b=c"}]"#), "inject[0].value"),
        (key(r#""inject":[{"in":"basic","name":"X","value":"{api_key}"}]"#), "inject[0].name"),
        (
            key(r#""inject":[{"in":"basic","value":"{api_key}:"},{"in":"header","name":"authorization","value":"x"}]"#),
            "inject[1].name",
        ),
        (
            key(r#""inject":[{"in":"header","name":"X","value":"a","when":{"field":"api_key","prefix":["a"]}},
            {"in":"header","name":"x","value":"b","when":{"field":"api_key","prefix":["ab"]}}]"#),
            "inject[1].name",
        ),
        (
            key(r#""inject":[{"in":"header","name":"X","value":"a","when":{"field":"api_key","not_prefix":["ab"]}},
            {"in":"header","name":"X","value":"b","when":{"field":"api_key","prefix":["a"]}}]"#),
            "inject[1].name",
        ),
        (
            key(r#""inject":[{"in":"header","name":"X","value":"a","when":{"field":"nothing","prefix":["a"]}}]"#),
            "inject[0].when.field",
        ),
        (
            key(r#""inject":[{"in":"header","name":"X","value":"a","when":{"field":"api_key","prefix":[""]}}]"#),
            "inject[0].when",
        ),
        (key(r#""strip":[{"in":"header","name":"Host"}]"#), "strip[0].name"),
        (key(r#""default_headers":{"Connection":"close"}"#), "default_headers"),
        (key(r#""default_headers":{"X":"a\nb"}"#), "default_headers"),
    ]);
}

#[test]
fn exports() {
    refused(&[
        (key(r#""export":{"PATH":"API_TOKEN"}"#), "export.PATH"),
        (key(r#""export":{"LD_PRELOAD":"API_TOKEN"}"#), "export.LD_PRELOAD"),
        (key(r#""export":{"https_proxy":"API_TOKEN"}"#), "export.https_proxy"),
        (key(r#""export":{"A;rm":"API_TOKEN"}"#), "export"),
        (key(r#""export":{"A":"NOTHING"}"#), "export.A"),
        (key(r#""export":{"A":["API_TOKEN"]}"#), "export"),
        (key(r#""export":{"env":{"api_key":"A B"}}"#), "export"),
        (key(r#""export":{"env":{"nothing":"A"}}"#), "export.env"),
    ]);
}
