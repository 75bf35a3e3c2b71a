//! `/audit`, and the same filters of the API.

use super::super::{Scene, Sender};
use super::{plain, see, write};
use crate::daemon::pages;
use crate::daemon::tests::scene::Body::None as Empty;

/// The numbers of the entries on a page of the log, from top to bottom.
fn numbers(page: &str) -> Vec<usize> {
    let texts = page.split("data-label=\"Connection\">").skip(1);
    let number = |text: &str| text.split_once(" / n")?.1.split('<').next()?.parse().ok();
    texts.filter_map(number).collect()
}

/// Where a link called `label` leads.
fn link(page: &str, label: &str) -> Option<String> {
    let (before, _) = page.split_once(&format!(">{label}</a>"))?;
    let (_, href) = before.rsplit_once("href=\"")?;
    Some(href.split('"').next()?.replace("&amp;", "&"))
}

#[test]
fn the_pages_of_a_long_log_have_no_gap_and_nothing_twice_while_it_grows() {
    for person in ["bob", "ada"] {
        let scene = Scene::new();
        write(&scene, "bob-agent", "proxy.request", "acme", "200", 330);
        let (mut seen, mut pages) = (Vec::new(), 0);
        let mut next = Some("/audit?event=proxy.request&provider=acme".to_owned());
        while let Some(target) = next {
            let page = see(&scene, person, &target);
            seen.extend(numbers(&page));
            next = link(&page, "Older");
            pages += 1;
            write(&scene, "eve-agent", "proxy.request", "acme", "200", 3);
            write(&scene, "bob-agent", "run.started", "acme", "200", 3);
            let newest = link(&page, "Newest");
            assert_eq!(newest.is_some(), pages > 1, "{newest:?}");
        }
        assert_eq!(seen, (0..330).rev().collect::<Vec<_>>(), "{person} has each once, newest first");
        assert_eq!(pages, 9);
    }
}

#[test]
fn nobody_sees_more_because_of_a_filter() {
    let scene = Scene::new();
    write(&scene, "bob-agent", "proxy.request", "bobs-provider", "200", 5);
    write(&scene, "eve-agent", "run.started", "eves-provider", "success", 5);
    for filter in ["", "?identity=bob-agent", "?provider=bobs-provider", "?event=proxy.request", "?span=14d"] {
        let page = see(&scene, "eve", &format!("/audit{filter}"));
        assert!(!page.contains("bobs-provider / n"), "{filter}: {page}");
        let offered = ["<option>bob-agent<", "<option>bobs-provider<"];
        assert!(!offered.iter().any(|option| page.contains(option)), "{filter}: {page}");
    }
    let page = see(&scene, "eve", "/audit?identity=bob-agent");
    assert!(page.contains("No event fits these filters.") && page.contains("0 events in the last 24 hours"), "{page}");
    let ask = |target: &str| scene.send(Sender::Browser("eve"), "GET", target, Empty);
    assert_eq!(ask("/api/audit/events?identity=bob-agent").status, 403);
    assert_eq!(ask("/api/audit/events?provider=bobs-provider").value()["entries"], serde_json::json!([]));
    assert_eq!(ask("/api/audit/events?event=run.started").value()["entries"].as_array().map(Vec::len), Some(5));
    assert_eq!(numbers(&see(&scene, "ada", "/audit?provider=bobs-provider")).len(), 5);
}

#[test]
fn filters_offer_what_occurs_and_keep_what_was_asked_for() {
    let scene = Scene::new();
    write(&scene, "bob-agent", "proxy.request", "acme", "200", 60);
    let page = see(&scene, "bob", "/audit?event=proxy.request&identity=gone-agent&span=14d");
    for option in [
        "<option>bob-agent</option>",
        r#"<option selected="">gone-agent</option>"#,
        "<option>acme</option>",
        r#"<option value="proxy.request" selected="">Request through the proxy (proxy.request)</option>"#,
    ] {
        assert!(page.contains(option), "{option}: {page}");
    }
    assert_eq!(link(&page, "Show all").as_deref(), Some("/audit?span=14d"));
    let page = see(&scene, "bob", "/audit?event=proxy.request&identity=&provider=&span=14d");
    let older = link(&page, "Older").expect("a next page");
    assert!(older.starts_with("/audit?span=14d&event=proxy.request&cursor="), "{older}");
    let page = see(&scene, "bob", &older);
    assert_eq!(numbers(&page), (0..20).rev().collect::<Vec<_>>());
    assert_eq!(link(&page, "Newest").as_deref(), Some("/audit?span=14d&event=proxy.request"));
    assert_eq!(numbers(&see(&scene, "bob", "/audit?event=proxy.request&cursor=nonsense")).len(), 40, "the newest");
}

#[test]
fn the_chart_counts_what_the_filter_leaves() {
    let scene = Scene::new();
    write(&scene, "bob-agent", "proxy.request", "acme", "200", 7);
    write(&scene, "bob-agent", "proxy.request", "acme", "502", 3);
    scene.state.clock.test_only_advance(30 * 3600);
    write(&scene, "bob-agent", "proxy.request", "acme", "200", 2);
    write(&scene, "bob-agent", "proxy.request", "other", "404", 1);
    // The session ended meanwhile.
    let scene = scene.signed_in_again();
    let says = |target: &str, text: &str| {
        let page = plain(&see(&scene, "bob", target));
        assert!(page.contains(text), "{target}: {text}: {page}");
    };
    says("/audit?event=proxy.request", "3 events in the last 24 hours, 1 failed");
    says("/audit?event=proxy.request&span=14d", "13 events in the last 14 days, 4 failed");
    says("/audit?event=proxy.request&provider=acme&span=14d", "12 events in the last 14 days, 3 failed");
    says("/audit?event=proxy.request&provider=other", "1 event in the last 24 hours, 1 failed");
}

#[test]
fn an_administrator_reads_whose_agent_it_was_and_hostile_names_stay_text() {
    let scene = Scene::new();
    let hostile = "\"><script>alert(1)</script>";
    write(&scene, "bob-agent", hostile, hostile, hostile, 2);
    let page = see(&scene, "ada", "/audit");
    assert!(plain(&page).contains("bob-agent| of bob@x.test"), "{page}");
    assert!(page.contains("Everything that happened on this server"));
    assert_eq!(page.matches("<script").count(), 1, "our own");
    assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
    let page = see(&scene, "bob", "/audit");
    assert!(page.contains("What you and your agents did") && !page.contains("bob@x.test</span></span>"));
}

#[test]
fn the_heaviest_page_is_light() {
    let scene = Scene::new();
    let long = |letter: &str| letter.repeat(60);
    for number in 0..300 {
        write(&scene, "bob-agent", &format!("{number}{}", long("e")), &format!("{number}{}", long("p")), &long("s"), 1);
    }
    let with_everything = |page: &str| page.len() + pages::STYLE.len() + pages::SCRIPT.len();
    let size = with_everything(&see(&scene, "ada", "/audit"));
    assert!(size < 60_000, "{size} bytes");
    write(&scene, "bob-agent", &"e".repeat(500), &"&".repeat(500), &"s".repeat(500), 100);
    let size = with_everything(&see(&scene, "ada", "/audit"));
    assert!(size < 100_000, "{size} bytes, although somebody tries");
}
