//! The plain fields of a definition, and what a person typed into them.

use std::collections::BTreeMap;

/// How a credential is got and sent, as far as plain fields can say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::daemon) enum DraftKind {
    /// `Authorization: Bearer KEY`
    #[default]
    Bearer,
    /// A key in another header, or with another word before it.
    Header,
    /// A key in the address.
    Query,
    /// A key as name or password.
    Basic,
    /// Sign-in in a browser.
    Code,
    /// A code that is confirmed in a browser elsewhere.
    Device,
    /// Sign-in with a client that registers itself.
    Registering,
}

impl DraftKind {
    /// All, with their word in the form and what people read.
    pub(in crate::daemon) const ALL: [(Self, &'static str, &'static str); 7] = [
        (Self::Bearer, "bearer", "API key as Authorization: Bearer"),
        (Self::Header, "header", "API key in another header"),
        (Self::Query, "query", "API key as a query parameter"),
        (Self::Basic, "basic", "API key as HTTP Basic user name or password"),
        (Self::Code, "pkce", "OAuth: sign-in in the browser"),
        (Self::Device, "device", "OAuth: a code for another device"),
        (Self::Registering, "register", "OAuth: the client registers itself, as at MCP servers"),
    ];

    /// What a word of the form means; an unknown one is the first.
    pub(in crate::daemon) fn of(word: &str) -> Self {
        Self::ALL.iter().find(|(_, known, _)| *known == word).map_or(Self::Bearer, |(kind, ..)| *kind)
    }

    pub(super) fn word(self) -> &'static str {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).map_or("", |(_, word, _)| word)
    }
}

/// A plain field of a definition.
pub(in crate::daemon) struct DraftField {
    /// Name in the form.
    pub(in crate::daemon) name: &'static str,
    /// Name for people.
    pub(in crate::daemon) label: &'static str,
    /// What to know before filling it in; empty: nothing.
    pub(super) hint: &'static str,
    /// Kinds that have it; empty: all.
    kinds: &'static [DraftKind],
    /// Whether it must be filled in.
    pub(in crate::daemon) required: bool,
    /// What the errors of a definition call it: the beginnings of their paths.
    pub(in crate::daemon) paths: &'static [&'static str],
    /// What fits here always: it takes the place of what does not, so that the next mistake is found too.
    pub(in crate::daemon) sample: &'static str,
}

impl DraftField {
    /// Whether a definition of this kind has it.
    pub(in crate::daemon) fn is_for(&self, kind: DraftKind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    /// The words of its kinds; empty: all.
    pub(super) fn words_of_kinds(&self) -> String {
        self.kinds.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(" ")
    }
}

const OAUTH: &[DraftKind] = &[DraftKind::Code, DraftKind::Device, DraftKind::Registering];
const A_URL: &str = "https://example.com/";

/// The field that says how the credential is sent.
pub(in crate::daemon) const KIND: &str = "kind";
const fn required(name: &'static str, label: &'static str, hint: &'static str, sample: &'static str) -> DraftField {
    DraftField { name, label, hint, kinds: &[], required: true, paths: &[], sample }
}

const fn optional(name: &'static str, label: &'static str, hint: &'static str) -> DraftField {
    DraftField { name, label, hint, kinds: &[], required: false, paths: &[], sample: "" }
}

/// All plain fields, in the order of the form. The kind stands behind the ones that every kind has.
pub(in crate::daemon) static FIELDS: [DraftField; 15] = [
    DraftField {
        paths: &["name"],
        ..required("name", "Name", "As in authsome login NAME: letters, digits, '.', '_' and '-'.", "x")
    },
    DraftField { paths: &["display_name"], ..optional("display_name", "Name for people", "") },
    DraftField { paths: &["description"], ..optional("description", "Description", "One sentence.") },
    DraftField {
        paths: &["api_url"],
        ..required(
            "api_url",
            "API hosts",
            "One a line, such as api.acme.com, https://acme.com/api or *.acme.com. The credential goes to nothing else.",
            "api.example.com",
        )
    },
    DraftField {
        paths: &["docs_url"],
        ..optional("docs_url", "Documentation", "The page that says how to get a key or a client.")
    },
    DraftField {
        paths: &["api_key.env_var", "export"],
        ..optional(
            "env_name",
            "Environment variable",
            "What authsome export calls the credential, such as ACME_API_KEY.",
        )
    },
    DraftField {
        kinds: &[DraftKind::Header],
        paths: &["api_key.header_name"],
        ..required("header_name", "Header", "The header that carries the key.", "Authorization")
    },
    DraftField {
        kinds: &[DraftKind::Header],
        paths: &["api_key.header_prefix"],
        ..optional("header_prefix", "Word before the key", "Such as Token. Empty: the key alone.")
    },
    DraftField {
        kinds: &[DraftKind::Query],
        paths: &["inject[0].name"],
        ..required("query_name", "Query parameter", "The parameter that carries the key.", "key")
    },
    DraftField {
        kinds: &[DraftKind::Basic],
        paths: &["inject[0].value"],
        ..required(
            "basic_value",
            "User name and password",
            "{api_key}: sends the key as the user name; me:{api_key} sends it as the password of me.",
            "{api_key}:",
        )
    },
    DraftField {
        kinds: &[DraftKind::Code],
        paths: &["oauth.authorization_url"],
        ..required("authorization_url", "Authorization URL", "Where people sign in and agree.", A_URL)
    },
    DraftField {
        kinds: &[DraftKind::Device],
        paths: &["oauth.device_authorization_url"],
        ..required("device_authorization_url", "Device authorization URL", "Where device codes come from.", A_URL)
    },
    DraftField {
        kinds: &[DraftKind::Code, DraftKind::Device],
        paths: &["oauth.token_url"],
        ..required("token_url", "Token URL", "Where tokens come from, and are refreshed.", A_URL)
    },
    DraftField {
        kinds: &[DraftKind::Registering],
        paths: &["oauth.base_url", "oauth.authorization_url"],
        ..required("base_url", "Authorization server", "Its own metadata says where everything is (RFC 8414).", A_URL)
    },
    DraftField {
        kinds: OAUTH,
        paths: &["oauth.scopes"],
        ..optional("scopes", "Scopes", "With spaces or commas between them.")
    },
];

/// How many of [`FIELDS`] every kind has.
pub(super) const SHARED_FIELDS: usize = 6;

/// What a person typed into the plain fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::daemon) struct Draft {
    /// How the credential is sent.
    pub(in crate::daemon) kind: DraftKind,
    texts: BTreeMap<&'static str, String>,
}

impl Draft {
    /// Nothing yet, of this kind.
    pub(in crate::daemon) fn new(kind: DraftKind) -> Self {
        Self { kind, texts: BTreeMap::new() }
    }

    /// The same of another kind.
    pub(in crate::daemon) fn with_kind(&self, kind: DraftKind) -> Self {
        Self { kind, texts: self.texts.clone() }
    }

    /// The text of a field as it was typed.
    pub(super) fn typed(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", String::as_str)
    }

    /// The text of a field, without the spaces around it; nothing where nothing was typed.
    pub(in crate::daemon) fn text(&self, name: &str) -> &str {
        self.typed(name).trim()
    }

    /// Puts a text into a field.
    pub(in crate::daemon) fn set(&mut self, name: &'static str, text: &str) {
        self.texts.insert(name, text.to_owned());
    }
}
