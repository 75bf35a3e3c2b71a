//! `authsome doctor`

use std::io;

use argh::{ArgsInfo, FromArgs};

use super::canary;
use super::context::Context;
use super::json::Json;
use crate::client::{Chosen, Client, Config, Identities, Target, VERSION};
use crate::error::{AuthsomeError, Result};
use crate::launch::{OutOfSight, Wall};
use crate::paths;
use crate::provider::{FileProblem, Registry};

/// Exit status when a check failed.
const UNHEALTHY: u8 = 1;

/// Check the home, the identity, the daemon and this machine, and say what to do about each failure.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "doctor", example = "authsome doctor", note = "The exit status is 1 when a check fails.")]
pub(super) struct Doctor {}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warning,
    Failed,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// One line of the report.
struct Finding {
    check: String,
    verdict: Verdict,
    text: String,
    advice: Option<String>,
}

impl Finding {
    fn ok(check: &str, text: impl Into<String>) -> Self {
        Self { check: check.to_owned(), verdict: Verdict::Ok, text: text.into(), advice: None }
    }

    fn warning(check: &str, text: impl Into<String>, advice: &str) -> Self {
        Self { check: check.to_owned(), verdict: Verdict::Warning, text: text.into(), advice: Some(advice.to_owned()) }
    }

    fn failed(check: &str, error: &AuthsomeError) -> Self {
        Self { check: check.to_owned(), verdict: Verdict::Failed, text: error.to_string(), advice: error.hint() }
    }
}

impl Doctor {
    pub(super) fn run(self, ctx: &Context) -> Result<u8> {
        let mut findings = vec![home(ctx), config(ctx), identity(ctx)];
        findings.extend(user_files(ctx));
        let daemon = daemon(ctx);
        let reached = daemon.iter().all(|finding| finding.verdict != Verdict::Failed);
        findings.extend(daemon);
        let ready = if reached { ready(ctx, &mut findings) } else { None };
        findings.push(isolation(ctx));
        findings.extend(clients());
        say_once(&mut findings);
        let failed = findings.iter().any(|finding| finding.verdict == Verdict::Failed);
        if ctx.out.json {
            ctx.out.object(as_json(ready, &findings, failed))?;
        } else {
            print(ctx, &findings)?;
        }
        Ok(if failed { UNHEALTHY } else { 0 })
    }
}

/// One cause makes several checks fail: its text and advice stand at the first.
fn say_once(findings: &mut [Finding]) {
    for at in 1..findings.len() {
        let (before, rest) = findings.split_at_mut(at);
        let finding = &mut rest[0];
        let is_told = |earlier: &Finding| earlier.verdict == Verdict::Failed && earlier.text == finding.text;
        if finding.verdict == Verdict::Failed && before.iter().any(is_told) {
            "not checked, for the reason above".clone_into(&mut finding.text);
            finding.advice = None;
        }
    }
}

fn home(ctx: &Context) -> Finding {
    let dir = ctx.home().dir();
    match paths::is_exposed(dir) {
        Ok(_) if !dir.is_dir() => {
            Finding::failed("home", &io::Error::other(format!("{} is no directory", dir.display())).into())
        }
        Ok(false) => Finding::ok("home", dir.display().to_string()),
        Ok(true) => Finding {
            check: "home".to_owned(),
            verdict: Verdict::Failed,
            text: format!("{} can be entered by others", dir.display()),
            advice: Some(format!("run: chmod 700 {}", dir.display())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Finding::warning("home", format!("{} is not there yet", dir.display()), "run: authsome onboard")
        }
        Err(error) => Finding::failed("home", &error.into()),
    }
}

fn config(ctx: &Context) -> Finding {
    match Config::load(ctx.home()) {
        Ok(_) => {
            let path = ctx.home().config();
            let absent = if path.exists() { "" } else { " (not there yet)" };
            Finding::ok("config", format!("{}{absent}", path.display()))
        }
        Err(error) => Finding::failed("config", &error),
    }
}

fn identity(ctx: &Context) -> Finding {
    match Chosen::select(ctx.home(), ctx.settings()) {
        Ok(Chosen::KeyOnly(_)) => Finding::ok("identity", "the key of the environment"),
        Ok(Chosen::Signer(signer)) => {
            let path = Identities::new(ctx.home()).key_path(&signer.handle);
            if ctx.settings().private_key.is_none() && paths::is_exposed(&path).unwrap_or(false) {
                let text = format!("{} can be read by others", path.display());
                return Finding {
                    check: "identity".to_owned(),
                    verdict: Verdict::Failed,
                    text,
                    advice: Some(format!(
                        "run: chmod 600 {}; if somebody may have read it, make another",
                        path.display()
                    )),
                };
            }
            Finding::ok("identity", signer.handle)
        }
        Err(error) => Finding::failed("identity", &error),
    }
}

/// Definitions that the user wrote and that cannot be read.
fn user_files(ctx: &Context) -> Vec<Finding> {
    let problems = Registry::open(ctx.home()).problems();
    let advice = "correct the file or remove it";
    let text = |problem: &FileProblem| format!("{}: {}", problem.path.display(), problem.reason);
    problems.iter().map(|problem| Finding::warning("provider file", text(problem), advice)).collect()
}

fn daemon(ctx: &Context) -> Vec<Finding> {
    let health = || -> Result<(String, Json)> {
        let client = ctx.unsigned(Target::select(ctx.home(), ctx.settings())?);
        Ok((client.base_url()?.to_string(), client.get("/health")?.parse()?))
    };
    match health() {
        Ok((url, health)) => about_daemon(&url, &health),
        Err(error) => vec![Finding::failed("daemon", &error)],
    }
}

/// What a daemon that answers says about itself.
fn about_daemon(url: &str, health: &Json) -> Vec<Finding> {
    let version = health.text("version");
    let answers = format!("version {version} answers at {url}");
    let daemon = if version == VERSION {
        Finding::ok("daemon", answers)
    } else {
        let advice = "install the same version on both sides";
        Finding::warning("daemon", format!("{answers}, and this is version {VERSION}"), advice)
    };
    let encryption = Some(health.text("encryption_backend")).filter(|text| !text.is_empty());
    std::iter::once(daemon).chain(encryption.map(|text| Finding::ok("encryption", text))).collect()
}

/// The daemon's own checks. Its answer is kept for `--json`.
fn ready(ctx: &Context, findings: &mut Vec<Finding>) -> Option<Json> {
    let answer = ctx.client().and_then(|client: Client| client.get("/api/ready")?.parse::<Json>());
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            findings.push(Finding::failed("access", &error));
            return None;
        }
    };
    if let Some(Json::Object(checks)) = answer.field("checks") {
        findings.extend(own_checks(checks));
    }
    let texts = |name| answer.list(name).iter().map(Json::to_cell);
    findings.extend(texts("warnings").map(|text| Finding {
        check: "daemon".to_owned(),
        verdict: Verdict::Warning,
        advice: text.contains("no active provider").then(|| "run: authsome login PROVIDER".to_owned()),
        text,
    }));
    findings.extend(texts("issues").map(|text| Finding {
        check: "daemon".to_owned(),
        verdict: Verdict::Failed,
        text,
        advice: None,
    }));
    Some(answer)
}

/// What passed on one line, what failed on one each.
fn own_checks(checks: &[(String, Json)]) -> Vec<Finding> {
    let (passed, failed): (Vec<_>, Vec<_>) = checks.iter().partition(|(_, result)| result.as_str() == Some("ok"));
    let names: Vec<&str> = passed.into_iter().map(|(name, _)| name.as_str()).collect();
    let passed = (!names.is_empty()).then(|| Finding::ok("daemon", format!("its checks pass: {}", names.join(", "))));
    let failed = failed.into_iter().map(|(name, result)| Finding {
        check: "daemon".to_owned(),
        verdict: Verdict::Failed,
        text: format!("its check of {name} says: {}", result.as_str().unwrap_or("nothing")),
        advice: Some("see: authsome daemon logs".to_owned()),
    });
    passed.into_iter().chain(failed).collect()
}

/// Whether what people run here would trust a run's proxy.
fn clients() -> Vec<Finding> {
    let sightings = match canary::try_clients() {
        Ok(sightings) => sightings,
        Err(error) => return vec![Finding::failed("clients", &error)],
    };
    let trusting: Vec<&str> = sightings.iter().filter(|one| one.trusts).map(|one| one.program).collect();
    let mut findings = Vec::new();
    if !trusting.is_empty() {
        findings.push(Finding::ok("clients", format!("{} trust the proxy of a run", trusting.join(", "))));
    }
    findings.extend(sightings.iter().filter(|one| !one.trusts).map(|one| {
        let text = format!("{} does not reach the proxy of a run, or does not trust it", one.program);
        Finding::warning("clients", text, one.advice)
    }));
    findings
}

/// Whether `run --isolate` would build its wall here: it is tried.
fn isolation(ctx: &Context) -> Finding {
    match Wall::raise(&OutOfSight::of(ctx.home())) {
        Ok(wall) => {
            wall.lower();
            let text = "run --isolate works here: user, mount, network, PID and IPC namespaces are to be had";
            Finding::ok("isolation", text)
        }
        Err(missing) => {
            let text = format!("run --isolate does not work here: {missing}");
            let advice = "to confine a program, run it in a container or as another user, or allow user namespaces";
            Finding::warning("isolation", text, advice)
        }
    }
}

fn as_json(ready: Option<Json>, findings: &[Finding], failed: bool) -> Json {
    let mut fields = if let Some(Json::Object(fields)) = ready { fields } else { unanswered() };
    for (name, value) in &mut fields {
        if name == "status" && failed {
            *value = "not_ready".into();
        }
    }
    let client = findings.iter().map(|finding| {
        Json::object([
            ("check", finding.check.as_str().into()),
            ("result", finding.verdict.as_str().into()),
            ("text", finding.text.as_str().into()),
            ("advice", finding.advice.clone().into()),
        ])
    });
    fields.push(("findings".to_owned(), Json::array(client)));
    Json::Object(fields)
}

/// What a daemon that was not reached would have said.
fn unanswered() -> Vec<(String, Json)> {
    let empty = || Json::Array(Vec::new());
    let fields =
        [("status", Json::Null), ("checks", Json::Object(Vec::new())), ("issues", empty()), ("warnings", empty())];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn print(ctx: &Context, findings: &[Finding]) -> Result<()> {
    for finding in findings {
        let verdict = finding.verdict.as_str();
        ctx.out.judged(verdict, finding.verdict == Verdict::Ok, &format!("{}: {}", finding.check, finding.text))?;
        if let Some(advice) = &finding.advice {
            ctx.out.line(&format!("{:9}{advice}", ""))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(findings: &[Finding]) -> Vec<String> {
        let line = |one: &Finding| format!("{} {}: {}", one.verdict.as_str(), one.check, one.text);
        findings.iter().map(line).collect()
    }

    fn json(text: &str) -> Json {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn a_daemon_is_described_in_sentences() {
        let health = json(&format!(r#"{{"version":"{VERSION}","encryption_backend":"AES, a key"}}"#));
        let expected =
            [format!("ok daemon: version {VERSION} answers at http://x"), "ok encryption: AES, a key".to_owned()];
        assert_eq!(lines(&about_daemon("http://x", &health)), expected);
        let other = lines(&about_daemon("http://x", &json(r#"{"version":"0.1"}"#)));
        assert_eq!(other, [format!("warning daemon: version 0.1 answers at http://x, and this is version {VERSION}")]);
    }

    #[test]
    fn checks_that_pass_share_a_line_and_those_that_fail_do_not() {
        let Json::Object(checks) = json(r#"{"store":"ok","vault":"failed","identity":"ok"}"#) else { panic!("object") };
        let expected =
            ["ok daemon: its checks pass: store, identity", "failed daemon: its check of vault says: failed"];
        assert_eq!(lines(&own_checks(&checks)), expected);
    }

    #[test]
    fn one_cause_is_told_once() {
        let error = AuthsomeError::NoIdentity;
        let mut findings = [Finding::failed("identity", &error), Finding::failed("access", &error)];
        say_once(&mut findings);
        assert_eq!(lines(&findings)[1], "failed access: not checked, for the reason above");
        assert!(findings[0].advice.is_some() && findings[1].advice.is_none());
    }
}
