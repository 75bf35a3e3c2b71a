//! A person defines a provider, with mistakes.

use super::stage::Stage;
use crate::harness::browser::Page;
use crate::harness::{KEY, eventually};

/// What the form says of a definition with three mistakes.
fn says_all_three(page: &Page<'_>) {
    let form = page.under("In plain fields");
    form.minds("Name", "Name");
    form.minds("API hosts", "");
    form.minds("Environment variable", "");
    page.look().says("Nothing is stored yet");
}

/// Fills in a definition with three mistakes, and sends it.
fn defines_badly(page: &Page<'_>) {
    let form = page.under("In plain fields");
    form.fill("Name", "no good name!");
    form.fill("API hosts", "https://user@other.demo.test/");
    form.fill("Environment variable", "9 LIVES");
    form.press("Define the provider").has_status(422);
}

/// Corrects them, one after the other, and connects the provider.
fn defines_well(stage: &Stage, page: &Page<'_>) {
    let form = page.under("In plain fields");
    assert_eq!(form.field("Environment variable")["value"], "9 LIVES", "what was typed stays");
    form.fill("Name", "acme");
    form.press("Define the provider").has_status(422);
    assert_eq!(page.under("In plain fields").field("Name")["invalid"], false);
    let form = page.under("In plain fields");
    form.fill("API hosts", "other.demo.test");
    form.fill("Environment variable", "ACME_KEY");
    form.choose("Kind of credential", "API key in another header");
    form.fill("Header", "X-Acme-Key");
    form.fill("Word before the key", "");
    form.press("Define the provider").has_status(200).came_to(&stage.at("/providers/acme"));
    page.look().says("The provider is there").says("other.demo.test").says("X-Acme-Key").says("ACME_KEY");
    page.press("Connect");
    page.fill("API key", KEY);
    page.press("Connect").has_status(200).came_to(&stage.at("/providers/acme")).says("Connected.");
    let curl = ["curl", "-sS", "--fail", "https://other.demo.test/v1/echo"];
    stage.world.run(curl).run().succeeds();
    assert_eq!(stage.world.api.only_request().header("x-acme-key"), Some(KEY));
}

#[test]
fn mistakes_are_said_at_their_fields_without_a_script() {
    let stage = Stage::local();
    let page = stage.browser.page("a");
    page.go(&stage.link());
    page.go(&stage.at("/providers"));
    page.follow("Define a provider").has_status(200).says("Define a provider");
    page.is_sound("define-without-scripts");
    defines_badly(&page);
    says_all_three(&page);
    page.is_sound("define-mistakes-without-scripts");
    defines_well(&stage, &page);
}

#[test]
fn mistakes_are_said_while_one_types_with_a_script() {
    let stage = Stage::local();
    let page = stage.owner("a");
    page.go(&stage.at("/new-provider"));
    page.is_sound("define");
    let form = page.under("In plain fields");
    assert_eq!(form.field("API hosts")["invalid"], false, "nobody is told of what they have not come to");
    form.fill("Name", "no good name!");
    form.minds("Name", "Name");
    form.fill("Name", "openai");
    form.minds("Name", "called that already");
    form.fill("Name", "acme");
    eventually("a name that is good", || (form.field("Name")["invalid"] == false).then_some(()));
    assert_eq!(form.field("API hosts")["invalid"], false);
    form.fill("API hosts", "not a host");
    form.minds("API hosts", "");
    page.is_sound("define-live");
    defines_badly(&page);
    says_all_three(&page);
    page.is_sound("define-mistakes");
    defines_well(&stage, &page);
}

#[test]
fn json_says_what_plain_fields_cannot() {
    let stage = Stage::local();
    let page = stage.owner("a");
    page.go(&stage.at("/new-provider"));
    page.unfold("As JSON");
    page.fill("Definition", r#"{"name": "acme", "auth_type": "api_key", "flow": "api_key", "api_url": "a@b"}"#);
    let json = page.under("As JSON");
    json.press("Define the provider").has_status(422);
    page.minds("Definition", "api_url");
    page.is_sound("define-json-mistake");
    let definition = r#"{"name": "acme", "display_name": "<b>Acme</b>", "auth_type": "api_key", "flow": "api_key",
        "api_url": ["other.demo.test", "api.demo.test"], "strip": [{"in": "header", "name": "x-old-key"}],
        "inject": [{"in": "header", "name": "X-Key", "value": "{api_key}"}]}"#;
    page.fill("Definition", definition);
    page.under("As JSON").press("Define the provider").came_to(&stage.at("/providers/acme")).says("<b>Acme</b>");
    page.is_sound("provider-from-json");
    page.follow("Edit the definition").says("more than plain fields can");
    page.is_sound("edit-json");
    page.go(&stage.at("/providers/acme"));
    page.unfold("Delete this provider");
    page.press("Delete it").says("The provider is gone");
    page.go(&stage.at("/providers/acme")).has_status(404);
}
