//! Chromium, with pages that are each in a browser of their own.

use std::cell::RefCell;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use super::tool::Tool;
use super::{World, chromium, eventually};

/// A running browser. It ends when dropped, and fails the test then if Chromium has complained about a page of ours: an
/// error on the console, a violation of a policy, a request that failed, a dialog.
pub(crate) struct Browser {
    tool: RefCell<Tool>,
    /// Where our own pages are.
    ours: Vec<String>,
    pages: RefCell<Vec<String>>,
}

/// One page, or a part of it. A new page is in a context without a past: no cookies, no history.
pub(crate) struct Page<'a> {
    browser: &'a Browser,
    name: String,
    /// The part: `{}` for all of it.
    part: Value,
}

/// What a person sees.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) url: String,
    /// Of the document.
    pub(crate) status: u64,
    pub(crate) title: String,
    pub(crate) text: String,
}

impl Browser {
    /// A browser for the daemon of `world`, and for others there.
    pub(crate) fn start(world: &World) -> Self {
        Self::launch(world, Vec::new())
    }

    /// The same with the pages in memory that one can go back to, as people's browsers have them.
    pub(crate) fn start_keeping_pages(world: &World) -> Self {
        Self::launch(world, vec!["keep-pages".to_owned()])
    }

    /// The same with `hosts` that are somewhere, port 80. The first one is ours too.
    pub(crate) fn start_with(world: &World, hosts: &[(&str, SocketAddr)]) -> Self {
        let mut browser = Self::launch(world, hosts.iter().map(|(host, at)| format!("{host}={at}")).collect());
        browser.ours.extend(hosts.first().map(|(host, _)| format!("http://{host}/")));
        browser
    }

    fn launch(world: &World, mut words: Vec<String>) -> Self {
        words.insert(0, chromium().display().to_string());
        let tool = RefCell::new(Tool::start(world, "browser.mjs", &words));
        Self { tool, ours: vec![format!("http://127.0.0.1:{}/", world.daemon().port)], pages: RefCell::default() }
    }

    /// A page in a browser that runs no scripts: what our pages must do with, and the server's can.
    pub(crate) fn page(&self, name: &str) -> Page<'_> {
        self.open(name, false)
    }

    /// A page in a browser as most people have it.
    pub(crate) fn page_with_scripts(&self, name: &str) -> Page<'_> {
        self.open(name, true)
    }

    fn open(&self, name: &str, scripts: bool) -> Page<'_> {
        let page = self.named(name);
        page.act("new", json!({"scripts": scripts}));
        page
    }

    fn named(&self, name: &str) -> Page<'_> {
        self.pages.borrow_mut().push(name.to_owned());
        Page { browser: self, name: name.to_owned(), part: json!({}) }
    }

    fn is_ours(&self, url: &str) -> bool {
        self.ours.iter().any(|start| url.starts_with(start))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        for name in self.pages.take() {
            if !std::thread::panicking() {
                Page { browser: self, name, part: json!({}) }.has_no_complaints();
            }
        }
    }
}

impl Page<'_> {
    /// One more page of the same browser.
    pub(crate) fn tab(&self, name: &str) -> Self {
        let tab = self.browser.named(name);
        self.act("tab", json!({"tab": name}));
        tab
    }

    /// The part of the page under this heading.
    pub(crate) fn under(&self, heading: &str) -> Self {
        self.part("section", heading)
    }

    /// The row of a table, or the item of a list, that holds this text.
    pub(crate) fn row(&self, text: &str) -> Self {
        self.part("row", text)
    }

    fn part(&self, name: &str, value: &str) -> Self {
        let mut part = self.part.clone();
        part[name] = value.into();
        Page { browser: self.browser, name: self.name.clone(), part }
    }

    pub(crate) fn go(&self, url: &str) -> Look {
        self.sight("go", json!({"url": url}))
    }

    pub(crate) fn reload(&self) -> Look {
        self.sight("reload", json!({}))
    }

    pub(crate) fn back(&self) -> Look {
        self.sight("back", json!({}))
    }

    pub(crate) fn look(&self) -> Look {
        self.sight("look", json!({}))
    }

    /// Presses a button, and sees the page that it leads to.
    pub(crate) fn press(&self, button: &str) -> Look {
        self.sight("press", json!({"button": button}))
    }

    /// Presses a button that leads to no other page.
    pub(crate) fn click(&self, button: &str) {
        self.act("click", json!({"button": button}));
    }

    /// Presses a button that the browser itself holds back, and gives `FIELD: REASON`.
    pub(crate) fn press_in_vain(&self, button: &str) -> String {
        self.text_of("refused", json!({"button": button}))
    }

    pub(crate) fn follow(&self, link: &str) -> Look {
        self.sight("follow", json!({"link": link}))
    }

    /// Sends the page's form as its button would, and gives the address on another site that this leads to, unvisited.
    pub(crate) fn leave(&self) -> String {
        self.text_of("leave", json!({}))
    }

    /// Fills the field with this label.
    pub(crate) fn fill(&self, label: &str, value: &str) {
        self.act("fill", json!({"label": label, "value": value}));
    }

    /// Chooses an option, by its text, of the list with this label.
    pub(crate) fn choose(&self, label: &str, option: &str) {
        self.act("choose", json!({"label": label, "option": option}));
    }

    /// Sets the box with this label.
    pub(crate) fn tick(&self, label: &str, on: bool) {
        self.act("tick", json!({"label": label, "on": on}));
    }

    /// Opens what is folded under these words.
    pub(crate) fn unfold(&self, label: &str) {
        self.act("unfold", json!({"label": label}));
    }

    /// Types these texts into the field that has the focus and the ones after it, then the Enter key.
    pub(crate) fn type_and_enter(&self, texts: &[&str]) -> Look {
        for (index, text) in texts.iter().enumerate() {
            if index > 0 {
                self.key("Tab");
            }
            self.act("type", json!({"text": text}));
        }
        self.enter()
    }

    pub(crate) fn key(&self, key: &str) {
        self.act("key", json!({"key": key}));
    }

    /// Presses the Enter key, and sees the page that it leads to.
    pub(crate) fn enter(&self) -> Look {
        self.sight("enter", json!({}))
    }

    /// Presses the Tab key until this element, such as `a` or `button`, has the focus; each stop on the way must be seen.
    /// How often it was pressed.
    #[track_caller]
    pub(crate) fn tab_to(&self, tag: &str, name: &str) -> usize {
        let mut stops = Vec::new();
        for _ in 0..100 {
            self.key("Tab");
            let focus = self.act("focus", json!({}));
            let said = focus["name"].as_str().expect("a name").to_owned();
            assert!(focus["tag"] == "body" || focus["isSeen"] == true, "a focus that nobody sees: {focus}");
            stops.push(said);
            if focus["tag"] == tag && stops.last().is_some_and(|said| said.contains(name)) {
                return stops.len();
            }
        }
        panic!("no {tag} {name:?} by keyboard, only {stops:#?}");
    }

    /// Waits until the page shows `text`, wherever it takes itself meanwhile.
    pub(crate) fn until(&self, text: &str) -> Look {
        self.sight("until", json!({"text": text}))
    }

    /// All that is to be read here.
    pub(crate) fn text(&self) -> String {
        self.text_of("text", json!({}))
    }

    /// Whether there is something of this role, such as `link`, with this name.
    pub(crate) fn has(&self, role: &str, name: &str) -> bool {
        self.act("count", json!({"role": role, "name": name})) != 0
    }

    /// The cells of the rows of the only table here.
    pub(crate) fn rows(&self) -> Vec<Vec<String>> {
        serde_json::from_value(self.act("rows", json!({}))).expect("rows of texts")
    }

    /// A field: its `value`, `checked`, `invalid`, and the `description` that belongs to it.
    pub(crate) fn field(&self, label: &str) -> Value {
        self.act("field", json!({"label": label}))
    }

    /// The field with this label says that something is wrong with it, in these words, at once or when a script knows.
    #[track_caller]
    pub(crate) fn minds(&self, label: &str, words: &str) {
        eventually(&format!("{label} says {words:?}"), || {
            let field = self.field(label);
            let says = field["description"].as_str().is_some_and(|description| description.contains(words));
            (field["invalid"] == true && says).then_some(())
        });
    }

    /// What an expression of JavaScript gives in the page.
    pub(crate) fn evaluate(&self, expression: &str) -> Value {
        self.act("evaluate", json!({"expression": expression}))
    }

    /// Method, address and status of every answer that comes while an expression is evaluated.
    pub(crate) fn answers(&self, expression: &str) -> Vec<(String, String, u16)> {
        serde_json::from_value(self.act("answers", json!({"expression": expression}))).expect("answers")
    }

    /// The page that an expression leads to.
    pub(crate) fn provoke(&self, expression: &str) -> Look {
        self.sight("provoke", json!({"expression": expression}))
    }

    /// The addresses of the frames inside.
    pub(crate) fn frames(&self) -> Value {
        self.act("frames", json!({}))
    }

    /// All cookies of this browser.
    pub(crate) fn cookies(&self) -> Value {
        self.act("cookies", json!({}))
    }

    /// Puts cookies into this browser, as [`Page::cookies`] gives them.
    pub(crate) fn plant(&self, cookies: &Value) {
        self.act("plant", json!({"cookies": cookies}));
    }

    /// Names of the cookies that scripts may read or that other sites' forms carry.
    pub(crate) fn loose_cookies(&self) -> Vec<String> {
        let cookies = self.cookies();
        let cookies = cookies.as_array().expect("a list").iter();
        let loose = cookies.filter(|cookie| cookie["httpOnly"] != true || cookie["sameSite"] == "None");
        loose.map(|cookie| cookie["name"].as_str().expect("a name").to_owned()).collect()
    }

    /// The page is one of ours, and nothing is wrong with it or with the ones before it: for a reader, on a phone and
    /// on a desktop, light and dark; Chromium has nothing to complain about. With `AUTHSOME_TEST_SCREENSHOTS` set, it
    /// leaves pictures called `name` in `target/screenshots`.
    #[track_caller]
    pub(crate) fn is_sound(&self, name: &str) {
        let look = self.look();
        assert!(self.browser.is_ours(&look.url), "not our page: {look:#?}");
        assert!(look.title.ends_with(" · authsome"), "{look:#?}");
        let screenshot = std::env::var_os("AUTHSOME_TEST_SCREENSHOTS").map(|_| {
            let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
            fs::create_dir_all(&dir).expect("our own directory");
            dir.join(name)
        });
        let faults = self.act("faults", json!({"screenshot": screenshot}));
        let faults = faults.as_array().expect("a list");
        // The same mistake is often made in every row.
        assert!(
            faults.is_empty(),
            "{name}: {} faults: {:#?} on {look:#?}",
            faults.len(),
            &faults[..faults.len().min(10)]
        );
        self.has_no_complaints();
    }

    #[track_caller]
    fn has_no_complaints(&self) {
        let complaints = self.act("complaints", json!({}));
        let ours = |one: &&Value| one["url"].as_str().is_none_or(|url| self.browser.is_ours(url));
        let complaints: Vec<_> = complaints.as_array().expect("a list").iter().filter(ours).collect();
        assert!(complaints.is_empty(), "{}: {complaints:#?}", self.name);
    }

    #[track_caller]
    fn sight(&self, what: &str, details: Value) -> Look {
        let seen = self.act(what, details);
        let text = |name: &str| seen[name].as_str().unwrap_or_else(|| panic!("no {name}: {seen}")).to_owned();
        let status = seen["status"].as_u64().expect("a number");
        Look { url: text("url"), status, title: text("title"), text: text("text") }
    }

    #[track_caller]
    fn text_of(&self, what: &str, details: Value) -> String {
        self.act(what, details).as_str().expect("a text").to_owned()
    }

    #[track_caller]
    fn act(&self, what: &str, mut command: Value) -> Value {
        let words = command.as_object_mut().expect("an object");
        words.extend(self.part.as_object().expect("an object").clone());
        words.insert("do".to_owned(), what.into());
        words.insert("page".to_owned(), self.name.as_str().into());
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
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.text.contains(text), "no {text:?}: {self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn does_not_say(self, text: &str) -> Self {
        assert!(!self.text.contains(text), "{text:?}: {self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn has_status(self, status: u64) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn came_to(self, start: &str) -> Self {
        assert!(self.url.starts_with(start), "not at {start}: {self:#?}");
        self
    }
}
