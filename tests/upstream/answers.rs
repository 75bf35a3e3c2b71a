//! What the upstream answers by itself, by path. Everything that it does not know is an echo.

use std::io;
use std::sync::LazyLock;

use serde_json::json;

use super::server::{Exchange, Next};

pub fn built_in(exchange: &mut Exchange<'_>) -> io::Result<Next> {
    match exchange.path {
        "/small" => exchange.respond("200 OK", "content-type: text/plain\r\n", b"ok"),
        "/204" => exchange.send("HTTP/1.1 204 No Content\r\n\r\n").map(|()| Next::KeepAlive),
        "/304" => {
            exchange.send("HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\ncontent-length: 5\r\n\r\n")?;
            Ok(Next::KeepAlive)
        }
        "/chunked" => chunked(exchange),
        "/close" => {
            exchange.read_body()?;
            exchange.send("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\nuntil the end")?;
            Ok(Next::Close)
        }
        "/early" => early(exchange),
        "/hints" => {
            exchange.send("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n")?;
            exchange.respond("200 OK", "content-type: text/plain\r\n", b"after a hint")
        }
        "/upgrade" => upgrade(exchange),
        "/sink" => {
            let length = exchange.discard_body()?;
            exchange.respond_json(&json!({ "received": length }))
        }
        "/v1/chat/completions" => chat(exchange),
        path if path.starts_with("/bytes/") => bytes(exchange),
        path if path.starts_with("/json/") => json_lines(exchange),
        path if path.starts_with("/status/") => {
            let status = path["/status/".len()..].to_owned();
            exchange.read_body()?;
            exchange.respond(&format!("{status} Scripted"), "content-type: text/plain\r\n", status.as_bytes())
        }
        _ => echo(exchange),
    }
}

/// What was asked for, as JSON: names and values that hold no credential.
pub fn echo(exchange: &mut Exchange<'_>) -> io::Result<Next> {
    let body = exchange.read_body()?;
    let names: Vec<&str> = exchange.head.fields.iter().map(|(name, _)| name.as_str()).collect();
    exchange.respond_json(&json!({
        "method": exchange.method(),
        "target": exchange.head.word(1),
        "host": exchange.head.field("host"),
        "fields": names,
        "body": String::from_utf8_lossy(&body),
    }))
}

fn chunked(exchange: &mut Exchange<'_>) -> io::Result<Next> {
    exchange.read_body()?;
    exchange.send(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
         5;note=1\r\nhello\r\n7\r\n, world\r\n0\r\nx-sum: 12\r\n\r\n",
    )?;
    Ok(Next::KeepAlive)
}

/// A final answer before the body was read, and the body read all the same, as nginx does.
fn early(exchange: &mut Exchange<'_>) -> io::Result<Next> {
    exchange.send("HTTP/1.1 413 Content Too Large\r\ncontent-type: text/plain\r\ncontent-length: 8\r\n\r\ntoo much")?;
    exchange.read_body()?;
    Ok(Next::KeepAlive)
}

/// 101, then every line back as it came.
fn upgrade(exchange: &mut Exchange<'_>) -> io::Result<Next> {
    exchange.send("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n")?;
    loop {
        let line = exchange.read_line()?;
        exchange.send(&line)?;
    }
}

/// Just enough of a language model for the SDKs: plain, or streamed as server-sent events.
fn chat(exchange: &mut Exchange<'_>) -> io::Result<Next> {
    let request: serde_json::Value = serde_json::from_slice(&exchange.read_body()?).unwrap_or_default();
    if request["stream"] != true {
        return exchange.respond_json(&json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "test",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }));
    }
    exchange.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")?;
    for piece in ["hel", "lo"] {
        let event = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "test",
            "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": null}],
        });
        exchange.send(chunk(&format!("data: {event}\n\n")))?;
    }
    exchange.send(chunk("data: [DONE]\n\n"))?;
    exchange.send("0\r\n\r\n")?;
    Ok(Next::KeepAlive)
}

pub fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// `/bytes/N`: so many bytes that no compression and no filter shortens.
fn bytes(exchange: &mut Exchange<'_>) -> io::Result<Next> {
    static BLOCK: [u8; 64 * 1024] = [b'.'; 64 * 1024];
    repeat(exchange, "application/octet-stream", &BLOCK)
}

/// `/json/N`: so many bytes of what APIs answer, with some escapes in it.
fn json_lines(exchange: &mut Exchange<'_>) -> io::Result<Next> {
    static BLOCK: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let line = |number: u32| {
            let text =
                "The quick brown fox said \"no\"\nand left. It has not been seen since then, nor was it looked for.";
            let url = format!("https://example.test/items/{number}?page=2&order=asc");
            let key = format!("{:x}", number.wrapping_mul(0x9e37_79b1));
            json!({"id": number, "key": key, "text": text, "url": url, "tags": ["a", "b"], "score": 0.25}).to_string()
        };
        (0..400).map(line).collect::<Vec<_>>().join("\n").into_bytes()
    });
    repeat(exchange, "application/x-ndjson", &BLOCK)
}

/// As many bytes as the path's end says, of `block` again and again.
fn repeat(exchange: &mut Exchange<'_>, media_type: &str, block: &[u8]) -> io::Result<Next> {
    let length: usize = exchange.path.rsplit('/').next().and_then(|text| text.parse().ok()).unwrap_or(0);
    exchange.send(format!("HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\r\n"))?;
    let mut left = length;
    while left > 0 {
        let count = left.min(block.len());
        exchange.send(&block[..count])?;
        left -= count;
    }
    Ok(Next::KeepAlive)
}
