//! What an agent may do, changed by its person.

use super::stage::Stage;
use crate::harness::{Caller, KEY};

#[test]
fn a_switch_decides_what_an_agent_may_do() {
    let stage = Stage::connected();
    let agent = Caller::active(&stage.world).handle;
    let page = stage.owner("a");
    page.follow("Agents").has_status(200);
    page.row(&agent).follow(&agent).came_to(&stage.at("/agents/"));
    let export = || stage.world.authsome(["export", "demo"]).run();
    let curl = || stage.world.run(["curl", "-sS", "--fail", "https://api.demo.test/v1/echo"]).run();
    export().succeeds().says(KEY);

    page.tick("Read raw secrets", false);
    page.press("Save").says("What this agent may do is changed");
    assert_eq!(page.field("Read raw secrets")["checked"], false);
    let refused = export();
    assert_ne!(refused.code(), 0, "{refused}");
    assert!(!refused.out().contains(KEY) && !refused.err().contains(KEY), "{refused}");
    curl().succeeds();
    assert_eq!(stage.world.api.requests().len(), 1);

    page.tick("Use connections", false);
    page.press("Save");
    curl();
    let seen = stage.world.api.requests();
    let has_key = |at: usize| seen.get(at).is_some_and(|one| one.header("authorization").is_some());
    assert!(has_key(0) && !has_key(1), "{seen:#?}");

    page.tick("Use connections", true);
    page.tick("Read raw secrets", true);
    page.press("Save");
    export().succeeds().says(KEY);

    page.unfold("Forget this agent");
    page.press(&format!("Forget {agent}")).says("The agent is forgotten").says("No agent is yours yet");
    let place = stage.at(&format!("/agents/{agent}"));
    page.go(&place).has_status(404);
    let refused = export();
    assert_ne!(refused.code(), 0, "{refused}");
    page.go(&place).has_status(200).says("Nothing, because nobody has claimed it");
    page.is_sound("agent-unclaimed");
}
