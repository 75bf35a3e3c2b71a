//! What a person wants to know of a connection beside its record. Reads only, and says nothing secret.

use serde_json::Value;

use super::Broker;
use super::connections::{DESTINATION, check_bound, filling, seal};
use super::export::value;
use crate::model::ConnectionRecord;
use crate::provider::{destinations_fingerprint, export_names};

/// Whether the secret of a connection still goes where it was sealed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// It does.
    Kept,
    /// The definition of today sends it elsewhere, so it is not used until its owner accepts that. One place a line, as
    /// [`destinations_fingerprint`] writes them.
    Moved {
        /// Where it was sealed for.
        before: Vec<String>,
        /// Where it would go now.
        now: Vec<String>,
        /// Stands for `now`: what [`Broker::rebind_as_seen`] takes.
        seal: String,
    },
    /// The definition of today does not say where it goes; why, for people.
    Unclear(String),
    /// There is no definition of its provider any more.
    Undefined,
}

impl Broker {
    /// Whether the secret of `record` still goes where it was sealed for.
    pub fn binding(&self, record: &ConnectionRecord) -> Binding {
        let Some(entry) = self.registry.find(&record.provider) else { return Binding::Undefined };
        if check_bound(&entry, record).is_ok() {
            return Binding::Kept;
        }
        let lines = |text: &str| text.lines().map(str::to_owned).collect();
        let sealed = record.metadata.get(DESTINATION).and_then(Value::as_str).unwrap_or_default();
        match destinations_fingerprint(&entry.definition, &filling(record)) {
            Ok(now) => Binding::Moved { before: lines(sealed), now: lines(&now), seal: seal(&now) },
            Err(error) => Binding::Unclear(error.message()),
        }
    }

    /// Where the secret of `record` may go, one place a line; nothing where that is not clear.
    pub fn destinations(&self, record: &ConnectionRecord) -> Vec<String> {
        let entry = self.registry.find(&record.provider);
        let found = entry.and_then(|entry| destinations_fingerprint(&entry.definition, &filling(record)).ok());
        found.iter().flat_map(|lines| lines.lines()).map(str::to_owned).collect()
    }

    /// The environment names that an export of `record` alone would set.
    pub fn exported_names(&self, record: &ConnectionRecord) -> Vec<String> {
        let Some(entry) = self.registry.find(&record.provider) else { return Vec::new() };
        let names = export_names(&entry.definition).into_iter();
        names.filter(|name| value(&entry.definition, record, &name.source).is_some()).map(|name| name.env).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::broker::tests::{Scene, user};
    use crate::model::AuthType;

    #[test]
    fn what_a_definition_changes_is_seen_and_what_is_gone_as_well() {
        let scene = Scene::new();
        let acme = |host: &str| json!({"name": "acme", "auth_type": "api_key", "flow": "api_key", "api_url": host});
        scene.register(acme("api.acme.test"), false).expect("registers");
        scene.connect(&user(), "acme", "default", "ak_0123456789").expect("connects");
        let record = || scene.broker.connection(&user(), "acme", "default").expect("is there");
        let before = vec!["api https://api.acme.test:443".to_owned()];
        assert_eq!(
            (scene.broker.binding(&record()), scene.broker.destinations(&record())),
            (Binding::Kept, before.clone())
        );
        assert_eq!(scene.broker.exported_names(&record()), ["ACME_API_KEY"]);
        scene.register(acme("api.elsewhere.test"), true).expect("registers");
        let now = vec!["api https://api.elsewhere.test:443".to_owned()];
        assert_eq!(scene.broker.binding(&record()), Binding::Moved { before, seal: seal(&now[0]), now });
        let unknown = ConnectionRecord::new("nosuch", "default", AuthType::ApiKey);
        assert_eq!(scene.broker.binding(&unknown), Binding::Undefined);
        assert!(scene.broker.destinations(&unknown).is_empty() && scene.broker.exported_names(&unknown).is_empty());
    }
}
