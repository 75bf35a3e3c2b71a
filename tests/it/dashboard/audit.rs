//! The audit log: every entry once, whatever happens meanwhile.

use serde_json::{Value, json};

use super::stage::Stage;
use crate::harness::Caller;
use crate::harness::browser::Page;

/// Writes `count` events, numbered from `first`, in the order of their numbers.
fn write(caller: &Caller<'_>, first: usize, count: usize, event: &str, provider: &str) {
    let one = |number| json!({"event": event, "provider": provider, "status": "success", "metadata": {"n": number}});
    let events: Vec<Value> = (first..first + count).map(one).collect();
    let answer = caller.post("/api/audit/events", &json!({"events": events}));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// The numbers on the page, from the top.
fn numbers(page: &Page<'_>) -> Vec<usize> {
    let number = |row: Vec<String>| {
        let (_, rest) = row.iter().find_map(|cell| cell.split_once("n: "))?;
        rest.split_whitespace().next()?.parse().ok()
    };
    page.under("Events").rows().into_iter().filter_map(number).collect()
}

/// The numbers on this page and on all older ones; `meanwhile` happens before each step.
fn numbers_to_the_end(page: &Page<'_>, mut meanwhile: impl FnMut()) -> Vec<usize> {
    let mut seen = numbers(page);
    while page.has("link", "Older") {
        meanwhile();
        page.follow("Older").has_status(200);
        seen.extend(numbers(page));
        assert!(seen.len() < 1000, "there is no end: {seen:?}");
    }
    seen
}

#[test]
fn every_event_is_on_one_page_filtered_or_not() {
    let stage = Stage::local();
    let caller = Caller::active(&stage.world);
    for round in 0..6 {
        write(&caller, 20 * round, 10, "deploy.started", "demo");
        write(&caller, 20 * round + 10, 10, "deploy.failed", "other");
    }
    let is_other = |number: &usize| number % 20 >= 10;
    let all: Vec<_> = (0..120).rev().collect();
    let page = stage.owner("a");
    page.follow("Audit").has_status(200);
    let mut newer = 1000;
    let seen = numbers_to_the_end(&page, || {
        newer += 1;
        write(&caller, newer, 1, "deploy.failed", "demo");
    });
    assert_eq!(seen, all, "each once, although others came meanwhile");
    assert!(newer > 1001, "all on two pages");
    page.is_sound("audit-last");
    page.follow("Newest");
    assert_eq!(numbers(&page)[0], newer);

    page.choose("Event", "deploy.failed");
    page.choose("Provider", "other");
    page.press("Filter").has_status(200);
    let expected: Vec<_> = all.into_iter().filter(is_other).collect();
    assert_eq!(numbers_to_the_end(&page, || {}), expected);
    page.is_sound("audit-filtered");
    page.choose("Event", "deploy.started");
    page.press("Filter").says("No event fits these filters");
    page.is_sound("audit-nothing");
    page.follow("Show all");
    page.choose("Agent", &caller.handle);
    page.choose("Provider", "other");
    page.press("Filter");
    assert!(numbers(&page).iter().all(is_other));
    page.follow("Last 14 days").has_status(200).says("60 events in the last 14 days");
    assert!(page.has("img", "Events by day"), "the chart");
}
