//! `regex:` hosts: compiled in a linear-time engine, matched against the whole host, and taken only when the pattern
//! text proves under which domain every match lies.
//!
//! The proof is conservative: each alternative must be a literal host, or end in a literal `\.domain.tld`. What the
//! reader below does not understand is refused, so a pattern never means more than was proved.

use std::fmt;

use regex_lite::{Regex, RegexBuilder};

use super::domain::{self, DomainError};
use super::host::{Host, HostError};
use crate::limits::HOST_PATTERN_BYTES;

/// Memory of one compiled pattern: counted repetitions multiply.
const COMPILED_BYTES: usize = 256 * 1024;

/// A host pattern that can only match names under literal domains.
#[derive(Clone, Debug)]
pub(super) struct HostPattern {
    regex: Regex,
    roots: Vec<Host>,
}

/// Why a pattern is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PatternError {
    /// More than [`HOST_PATTERN_BYTES`].
    TooLong,
    /// The engine does not take it.
    Syntax,
    /// Something that the proof does not cover: flags, lookaround, named groups, non-ASCII, anchors in the middle.
    Unsupported(&'static str),
    /// An alternative does not end in a literal suffix that starts at a label boundary.
    NoSuffix,
    /// An alternative is literal, but no host.
    Host(HostError),
    /// The literal suffix is not one owner's.
    Domain(DomainError),
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the pattern is longer than {HOST_PATTERN_BYTES} bytes"),
            Self::Syntax => f.write_str("the pattern is no regular expression of the supported kind"),
            Self::Unsupported(what) => write!(f, "the pattern has {what}, which host patterns may not have"),
            Self::NoSuffix => f.write_str(
                "every alternative must end in a literal suffix at a label boundary, such as \\.acme\\.test, with its dots escaped",
            ),
            Self::Host(error) => write!(f, "an alternative is no host: {error}"),
            Self::Domain(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PatternError {}

impl HostPattern {
    /// Checks and compiles the text behind `regex:`.
    ///
    /// # Errors
    /// [`PatternError`] when the pattern cannot be compiled or proved.
    pub(super) fn parse(pattern: &str) -> Result<Self, PatternError> {
        if pattern.len() > HOST_PATTERN_BYTES {
            return Err(PatternError::TooLong);
        }
        let roots = alternatives(&tokens(pattern)?)?.into_iter().map(prove).collect::<Result<_, _>>()?;
        let anchored = format!("^(?:{pattern})$");
        let regex = RegexBuilder::new(&anchored).case_insensitive(true).size_limit(COMPILED_BYTES).build();
        regex.map(|regex| Self { regex, roots }).map_err(|_| PatternError::Syntax)
    }

    /// What was proved: every match is one of these hosts or lies below one of them.
    pub(super) fn roots(&self) -> &[Host] {
        &self.roots
    }

    /// Whether the whole host matches. Addresses never do.
    pub(super) fn matches(&self, host: &Host) -> bool {
        !host.is_ip() && self.regex.is_match(host.as_str())
    }
}

/// One unit of a pattern, as far as the proof needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// This character and no other.
    Literal(char),
    /// One match of something else: a class, any character.
    Other,
    /// `*`, `+`, `?`, `{n,m}`: what stands before it is not literal any more.
    Repeat,
    Open,
    Close,
    Or,
    Start,
    End,
}

fn tokens(pattern: &str) -> Result<Vec<Token>, PatternError> {
    let mut tokens = Vec::new();
    let mut rest = pattern.chars();
    while let Some(character) = rest.next() {
        let token = match character {
            '\\' => escape(rest.next())?,
            '[' => class(&mut rest)?,
            '(' => open(&mut rest)?,
            '{' => counted(&mut rest)?,
            ')' => Token::Close,
            '|' => Token::Or,
            '^' => Token::Start,
            '$' => Token::End,
            '.' => Token::Other,
            '*' | '+' | '?' => Token::Repeat,
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => Token::Literal(character),
            _ => return Err(PatternError::Unsupported("a character that host names do not have")),
        };
        tokens.push(token);
    }
    Ok(tokens)
}

fn escape(escaped: Option<char>) -> Result<Token, PatternError> {
    match escaped {
        Some(character @ ('.' | '-' | '_')) => Ok(Token::Literal(character)),
        Some('d' | 'w') => Ok(Token::Other),
        _ => Err(PatternError::Unsupported("an escape other than \\. \\- \\_ \\d \\w")),
    }
}

/// Reads to the end of `[...]`. Nested classes, set operations and escapes inside are refused.
fn class(rest: &mut std::str::Chars<'_>) -> Result<Token, PatternError> {
    let mut inside = 0;
    for character in rest {
        match character {
            ']' if inside > 0 => return Ok(Token::Other),
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' => inside += 1,
            '^' if inside == 0 => inside += 1,
            _ => break,
        }
    }
    Err(PatternError::Unsupported("a class with more than letters, digits, - _ and ."))
}

/// Reads a group's opening: `(` or `(?:`.
fn open(rest: &mut std::str::Chars<'_>) -> Result<Token, PatternError> {
    if let Some(behind) = rest.as_str().strip_prefix('?') {
        let inner = behind.strip_prefix(':').ok_or(PatternError::Unsupported("a group with flags or a name"))?;
        *rest = inner.chars();
    }
    Ok(Token::Open)
}

/// Reads to the end of `{n}`, `{n,}` or `{n,m}`.
fn counted(rest: &mut std::str::Chars<'_>) -> Result<Token, PatternError> {
    let (count, behind) = rest.as_str().split_once('}').ok_or(PatternError::Syntax)?;
    if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit() || byte == b',') {
        return Err(PatternError::Syntax);
    }
    *rest = behind.chars();
    Ok(Token::Repeat)
}

/// The alternatives of a pattern, each without its anchors. A pattern that is one group is taken apart too.
fn alternatives(tokens: &[Token]) -> Result<Vec<&[Token]>, PatternError> {
    let mut found = Vec::new();
    for alternative in split(tokens)? {
        let alternative = without_anchors(alternative);
        match inside_one_group(alternative) {
            Some(inside) => found.extend(alternatives(inside)?),
            None if alternative.iter().any(|token| matches!(token, Token::Start | Token::End)) => {
                return Err(PatternError::Unsupported("an anchor in the middle"));
            }
            None => found.push(alternative),
        }
    }
    Ok(found)
}

/// Splits at every `|` outside groups.
fn split(tokens: &[Token]) -> Result<Vec<&[Token]>, PatternError> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (index, token) in tokens.iter().enumerate() {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth = depth.checked_sub(1).ok_or(PatternError::Syntax)?,
            Token::Or if depth == 0 => {
                parts.push(&tokens[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    if depth > 0 {
        return Err(PatternError::Syntax);
    }
    parts.push(&tokens[start..]);
    Ok(parts)
}

fn without_anchors(tokens: &[Token]) -> &[Token] {
    let tokens = tokens.strip_prefix(&[Token::Start]).unwrap_or(tokens);
    tokens.strip_suffix(&[Token::End]).unwrap_or(tokens)
}

/// What is inside when the whole of `tokens` is a single group that is not repeated.
fn inside_one_group(tokens: &[Token]) -> Option<&[Token]> {
    let inside = tokens.strip_prefix(&[Token::Open])?.strip_suffix(&[Token::Close])?;
    let mut depth = 0_usize;
    for token in inside {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth = depth.checked_sub(1)?, // the first group ended: there are two
            _ => {}
        }
    }
    Some(inside)
}

fn prove(alternative: &[Token]) -> Result<Host, PatternError> {
    let literals = alternative.iter().rev().map_while(|token| match token {
        Token::Literal(character) => Some(*character),
        _ => None,
    });
    let literals: Vec<char> = literals.collect();
    let text: String = literals.iter().rev().collect();
    if literals.len() == alternative.len() {
        let host = Host::parse(&text).map_err(PatternError::Host)?;
        domain::check_exact(&host).map_err(PatternError::Domain)?;
        return Ok(host);
    }
    // Only what follows the first literal dot is certain to be whole labels.
    let (_, suffix) = text.split_once('.').ok_or(PatternError::NoSuffix)?;
    let suffix = Host::parse(suffix).map_err(|_| PatternError::NoSuffix)?;
    domain::check_suffix(&suffix).map_err(|error| match error {
        DomainError::SingleLabel => PatternError::NoSuffix,
        other => PatternError::Domain(other),
    })?;
    Ok(suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, host: &str) -> bool {
        HostPattern::parse(pattern).expect("is proved").matches(&Host::parse(host).expect("is a host"))
    }

    #[test]
    fn proved_patterns_match_whole_hosts_only() {
        for (pattern, yes, no) in [
            (
                r"^(www\.linkedin\.com|linkedin\.com)$",
                &["www.linkedin.com", "LinkedIn.com"][..],
                &["evil-linkedin.com", "linkedin.com.evil.test", "x.linkedin.com", "wwwxlinkedin.com"][..],
            ),
            (r"^(www\.linkedin\.com|linkedin\.com)", &["www.linkedin.com"], &["linkedin.com.evil.test"]),
            (
                r"^[a-z0-9-]+\.acme\.test$",
                &["a.acme.test", "A-1.ACME.test"],
                &["acme.test", "evilacme.test", "a.b.acme.test", "a.acme.test.evil.test"],
            ),
            (r".*\.linear\.app", &["api.linear.app", "a.b.linear.app"], &["linear.app", "evillinear.app"]),
            (r"(?:a|b)\.acme\.test|c\.acme\.example", &["a.acme.test", "c.acme.example"], &["d.acme.test"]),
            (r"^a\.acme\.test$|^b\.acme\.test$", &["a.acme.test", "b.acme.test"], &["ab.acme.test"]),
            (r"((api\.acme\.test))", &["api.acme.test"], &["xapi.acme.test"]),
            (r"api\d{1,3}\.acme\.test", &["api1.acme.test", "api123.acme.test"], &["api1234.acme.test"]),
            (r".*foo\.acme\.test", &["foo.acme.test", "xfoo.acme.test"], &["bar.acme.test"]),
        ] {
            for host in yes {
                assert!(matches(pattern, host), "{pattern} {host}");
            }
            for host in no {
                assert!(!matches(pattern, host), "{pattern} {host}");
            }
        }
    }

    #[test]
    fn addresses_match_no_pattern() {
        assert!(!matches(r".*\.acme\.test|[a-z0-9.-]*x\.acme\.test", "10.0.0.1"));
        assert!(HostPattern::parse(r"10\.0\.0\.1").is_err());
    }

    #[test]
    fn what_cannot_be_proved_is_refused() {
        for pattern in [
            "",
            ".*",
            ".+",
            "^$",
            r".*googleapis.*",
            r".*googleapis\.com",
            r".*githubusercontent\.com$",
            r"acme\.test|.*",
            r".*|acme\.test",
            r"acme\.test|",
            r"(acme\.test|.*)",
            r"(acme\.test)?",
            r"(acme\.test)*",
            r"(a\.acme\.test)(b\.acme\.test|.*)",
            r"(a)(b)",
            r"api.acme.test",
            r".*\.acme.test",
            r".*acme\.test",
            r".*\.test",
            r".*\.co\.uk",
            r".*\.github\.io",
            r"[a-z]+\.amazonaws\.com",
            r".*\.acme\.test.*",
            r".*\.acme\.tests?",
            r".*\.acme\.test{0,1}",
            r".*\.acme\.test+",
            r".*\.acme\.(test|example)",
            r".*\.acme\.test$x",
            r".*$\.acme\.test",
            r"a^\.acme\.test",
            r"(?i).*\.acme\.test",
            r"(?x) .*\.acme\.test # \.evil",
            r"(?m)^.*\.acme\.test$",
            r"(?P<host>.*)\.acme\.test",
            r"(?!x).*\.acme\.test",
            r"[^x]\x2eacme\.test",
            r"x\bacme\.acme\.test",
            r".*\Q.acme.test\E",
            r".*\.acm\u{e9}\.test",
            "b\u{fc}cher\\.acme\\.test",
            r".*\.ac me\.test",
            r"[[a]]\.acme\.test",
            r"[]]\.acme\.test",
            r"[a&&b]\.acme\.test",
            r"[a\]\.acme\.test",
            r"[a",
            r"(a\.acme\.test",
            r"a\.acme\.test)",
            r"a)(\.acme\.test",
            r"a{\.acme\.test",
            r"a{x}\.acme\.test",
            r"*\.acme\.test",
            r"intranet",
            r"localhost",
            r"127\.0\.0\.1",
            r".*\.0\.0\.1",
            r"\.acme\.test",
            r".*\..acme\.test",
            r"a\.-acme\.test",
            r"((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((a{9}){9}){9}){9}){9}",
            r"(((((((x{99}){99}){99}){99}){99}){99}){99})\.acme\.test",
        ] {
            assert!(HostPattern::parse(pattern).is_err(), "{pattern:?} is taken");
        }
        let long = format!("{}\\.acme\\.test", "a".repeat(HOST_PATTERN_BYTES));
        assert_eq!(HostPattern::parse(&long).err(), Some(PatternError::TooLong));
    }

    /// Whatever is taken, what it matches lies under two labels that stand in the pattern as literal text.
    #[test]
    fn random_patterns_never_match_beyond_their_literals() {
        const PIECES: [&str; 22] = [
            "acme",
            "test",
            "evil",
            "x",
            r"\.",
            r"\.",
            r"\.acme\.test",
            r"acme\.test",
            ".",
            ".*",
            ".+",
            "[a-z.]",
            "[^a]",
            "(",
            "(?:",
            ")",
            "|",
            "?",
            "*",
            "{0,2}",
            "^",
            "$",
        ];
        const HOSTS: [&str; 10] = [
            "acme.test",
            "a.acme.test",
            "evilacme.test",
            "evil.test",
            "acme.test.evil.test",
            "xacme.test",
            "x.evil.test",
            "acme.testx",
            "acmextest.evil.test",
            "evil.acme.test",
        ];
        let hosts = HOSTS.map(|host| Host::parse(host).expect("is a host"));
        let mut state = 0x5eed_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).expect("fits") % below
        };
        let (mut taken, mut matched) = (0, 0);
        for _ in 0..60_000 {
            let pattern: String = (0..=random(7)).map(|_| PIECES[random(PIECES.len())]).collect();
            let Ok(compiled) = HostPattern::parse(&pattern) else { continue };
            taken += 1;
            let literal = pattern.replace('\\', "");
            assert!(compiled.roots().iter().all(|root| literal.contains(root.as_str())), "{pattern}");
            for host in hosts.iter().filter(|host| compiled.matches(host)) {
                matched += 1;
                let labels: Vec<&str> = host.labels().collect();
                let is_under = (0..labels.len() - 1).any(|start| literal.contains(&labels[start..].join(".")));
                assert!(is_under, "{pattern} matches {host}");
                let is_rooted = compiled.roots().iter().any(|root| host == root || host.is_below(root));
                assert!(is_rooted, "{pattern} matches {host}");
            }
        }
        assert!(taken > 1000 && matched > 500, "the test sees too little: {taken} {matched}");
    }
}
