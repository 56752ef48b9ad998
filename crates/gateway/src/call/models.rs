//! The models a key may call, answered from the snapshot.

use http::Response;

use super::{head::Head, offered};
use crate::{
    refusal::Refusal,
    relay::Answer,
    snapshot::{Grant, KeyDigest},
};

impl Head {
    pub(super) fn models(&self, digest: &KeyDigest) -> Response<Answer> {
        let snapshot = self.gateway.snapshot.load();
        let Some(entry) = snapshot.find(digest, self.now_ms) else { return self.refuse(&Refusal::NoKey) };
        let mut grants: Vec<_> =
            entry.workspace.grants.values().filter(|it| offered(self.dialect, it).is_some()).collect();
        grants.sort_by(|a, b| a.model.code.cmp(&b.model.code));
        let models: Vec<_> = grants.into_iter().map(|it| model(it)).collect();
        self.free(format!(r#"{{"object":"list","data":[{}]}}"#, models.join(",")))
    }

    pub(super) fn model(&self, digest: &KeyDigest, tail: &str) -> Response<Answer> {
        let code = tail.rsplit('/').next().unwrap_or_default();
        let snapshot = self.gateway.snapshot.load();
        let Some(entry) = snapshot.find(digest, self.now_ms) else { return self.refuse(&Refusal::NoKey) };
        match entry.workspace.grants.get(code).filter(|it| offered(self.dialect, it).is_some()) {
            Some(grant) => self.free(model(grant)),
            None => self.refuse(&Refusal::NoModel(code)),
        }
    }
}

fn model(grant: &Grant) -> String {
    let (code, created, owner) = (&grant.model.code, grant.model.created_at, &grant.model.provider.name);
    format!(r#"{{"id":"{code}","object":"model","created":{created},"owned_by":"{owner}"}}"#)
}
