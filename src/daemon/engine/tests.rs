//! What goes in comes out, each once and with its own.

use std::sync::mpsc;
use std::thread;

use super::*;

fn engine<T>(patience: Duration) -> Engine<T> {
    Engine::start(&[std::env::temp_dir()], patience).expect("the engine starts")
}

fn get(target: &str) -> Line {
    Line { method: "GET".to_owned(), target: target.to_owned() }
}

#[test]
fn many_at_once_lose_and_mix_nothing() {
    const THREADS: usize = 64;
    const EACH: usize = 100;
    let engine = engine(Duration::from_secs(30));
    let (report, reports) = mpsc::channel();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (engine, report) = (&engine, report.clone());
            scope.spawn(move || {
                for number in 0..EACH {
                    let target = format!("/{thread}/{number}");
                    let (line, item) = engine.exchange(&get(&target), target.clone()).expect("nothing is lost");
                    assert_eq!(line, get(&item));
                    report.send(item).expect("is read");
                }
            });
        }
    });
    drop(report);
    let mut seen: Vec<String> = reports.into_iter().collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), THREADS * EACH, "each comes out once");
    assert!(engine.waiting().is_empty());
}

#[test]
fn long_lines_go_through() {
    let engine = engine(Duration::from_secs(30));
    let long = get(&format!("/{}", "x".repeat(crate::limits::HEAD_BYTES)));
    for number in 0..2 * ENGINE_LINKS {
        assert_eq!(engine.exchange(&long, number), Ok((get(&long.target), number)));
    }
}

#[test]
fn a_line_that_is_lost_costs_one_item_and_one_link() {
    let engine = engine(Duration::from_millis(300));
    let broken = get("/ a line that the gate never lets through");
    for _ in 1..ENGINE_LINKS {
        assert_eq!(engine.exchange(&broken, "lost"), Err("lost"));
    }
    for _ in 0..2 * ENGINE_LINKS {
        assert_eq!(engine.exchange(&get("/"), "kept"), Ok((get("/"), "kept")));
    }
    assert!(engine.waiting().is_empty());
}
