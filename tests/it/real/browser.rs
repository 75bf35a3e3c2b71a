//! Chromium, with pages that are each in a browser of their own.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::tool::Tool;
use crate::harness::{World, chromium};

/// A running browser. It ends when dropped.
pub(super) struct Browser {
    tool: RefCell<Tool>,
    /// Where our own pages are.
    ours: String,
}

/// One page in a context without a past: no cookies, no history.
pub(super) struct Page<'a> {
    browser: &'a Browser,
    name: &'static str,
}

/// What a person sees.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) url: String,
    /// Of the document.
    pub(super) status: u64,
    pub(super) title: String,
    pub(super) text: String,
}

impl Browser {
    pub(super) fn start(world: &World) -> Self {
        let tool = RefCell::new(Tool::start(world, "browser.mjs", &chromium().display().to_string()));
        Self { tool, ours: format!("http://127.0.0.1:{}/", world.daemon().port) }
    }

    /// A page in a browser that runs no scripts: what our pages must do with, and the server's can.
    pub(super) fn page(&self, name: &'static str) -> Page<'_> {
        self.open(name, false)
    }

    /// A page in a browser as most people have it.
    pub(super) fn page_with_scripts(&self, name: &'static str) -> Page<'_> {
        self.open(name, true)
    }

    fn open(&self, name: &'static str, scripts: bool) -> Page<'_> {
        let page = Page { browser: self, name };
        page.act("new", json!({"scripts": scripts}));
        page
    }
}

impl Page<'_> {
    pub(super) fn go(&self, url: &str) -> Look {
        self.sight("go", json!({"url": url}))
    }

    pub(super) fn reload(&self) -> Look {
        self.sight("reload", json!({}))
    }

    pub(super) fn back(&self) -> Look {
        self.sight("back", json!({}))
    }

    pub(super) fn look(&self) -> Look {
        self.sight("look", json!({}))
    }

    /// Presses a button, and sees the page that it leads to.
    pub(super) fn press(&self, button: &str) -> Look {
        self.sight("press", json!({"button": button}))
    }

    /// Presses a button that the browser itself holds back, and gives `FIELD: REASON`.
    pub(super) fn press_in_vain(&self, button: &str) -> String {
        self.act("refused", json!({"button": button})).as_str().expect("a text").to_owned()
    }

    pub(super) fn follow(&self, link: &str) -> Look {
        self.sight("follow", json!({"link": link}))
    }

    /// Sends the page's form as its button would, and gives the address on another site that this leads to, unvisited.
    pub(super) fn leave(&self) -> String {
        self.act("leave", json!({})).as_str().expect("an address").to_owned()
    }

    /// Fills the field with this label.
    pub(super) fn fill(&self, label: &str, value: &str) {
        self.act("fill", json!({"label": label, "value": value}));
    }

    /// Types these texts into the field that has the focus and the ones after it, then the Enter key.
    pub(super) fn type_and_enter(&self, texts: &[&str]) -> Look {
        for (index, text) in texts.iter().enumerate() {
            if index > 0 {
                self.act("key", json!({"key": "Tab"}));
            }
            self.act("type", json!({"text": text}));
        }
        self.sight("enter", json!({}))
    }

    /// Waits until the page shows `text`, wherever it takes itself meanwhile.
    pub(super) fn until(&self, text: &str) -> Look {
        self.sight("until", json!({"text": text}))
    }

    /// Names of the cookies that scripts may read or that other sites' forms carry.
    pub(super) fn loose_cookies(&self) -> Vec<String> {
        let cookies = self.act("cookies", json!({}));
        let cookies = cookies.as_array().expect("a list").iter();
        let loose = cookies.filter(|cookie| cookie["httpOnly"] != true || cookie["sameSite"] == "None");
        loose.map(|cookie| cookie["name"].as_str().expect("a name").to_owned()).collect()
    }

    /// The page is one of ours, and nothing is wrong with it or with the ones before it: for a reader, on a phone and
    /// on a desktop, light and dark; Chromium has nothing to complain about. With `AUTHSOME_TEST_SCREENSHOTS` set, it
    /// leaves pictures called `name` in `target/screenshots`.
    #[track_caller]
    pub(super) fn is_sound(&self, name: &str) {
        let look = self.look();
        assert!(look.url.starts_with(&self.browser.ours), "not our page: {look:#?}");
        assert!(look.title.ends_with(" · authsome"), "{look:#?}");
        let screenshot = std::env::var_os("AUTHSOME_TEST_SCREENSHOTS").map(|_| {
            let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
            fs::create_dir_all(&dir).expect("our own directory");
            dir.join(name)
        });
        let faults = self.act("faults", json!({"screenshot": screenshot}));
        assert_eq!(faults, json!([]), "{name}: {look:#?}");
        let complaints = self.act("complaints", json!({}));
        let ours = |one: &&Value| one["url"].as_str().is_none_or(|url| url.starts_with(&self.browser.ours));
        let complaints: Vec<_> = complaints.as_array().expect("a list").iter().filter(ours).collect();
        assert!(complaints.is_empty(), "{name}: {complaints:#?}");
    }

    #[track_caller]
    fn sight(&self, what: &str, details: Value) -> Look {
        let seen = self.act(what, details);
        let text = |name: &str| seen[name].as_str().unwrap_or_else(|| panic!("no {name}: {seen}")).to_owned();
        let status = seen["status"].as_u64().expect("a number");
        Look { url: text("url"), status, title: text("title"), text: text("text") }
    }

    #[track_caller]
    fn act(&self, what: &str, mut command: Value) -> Value {
        command["do"] = what.into();
        command["page"] = self.name.into();
        let mut answer = {
            let mut tool = self.browser.tool.borrow_mut();
            tool.send(&command);
            tool.next()
        };
        assert!(answer.get("ok").is_some(), "{}: {what} {command}: {answer:#}", self.name);
        answer["ok"].take()
    }
}

impl Look {
    #[track_caller]
    pub(super) fn says(self, text: &str) -> Self {
        assert!(self.text.contains(text), "no {text:?}: {self:#?}");
        self
    }

    #[track_caller]
    pub(super) fn has_status(self, status: u64) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    #[track_caller]
    pub(super) fn came_to(self, start: &str) -> Self {
        assert!(self.url.starts_with(start), "not at {start}: {self:#?}");
        self
    }
}
