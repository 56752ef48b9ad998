//! `ratelimit-policy` and the limits themselves, prepared for each grant: they depend on limits alone, not on use.

use std::fmt::Write;

use domain::{Limits, Scope};
use http::HeaderValue;
use limiter::{CellLimits, Quota};

/// The policies of one grant, by the tighter scope of requests and of tokens.
#[derive(Debug)]
pub(crate) struct Policies {
    scopes: [Limit; 2],
    /// First by the scope of requests, then by that of tokens; the last of each is "not limited".
    policies: [[HeaderValue; 3]; 3],
}

/// The limits of one scope as header values.
#[derive(Debug, Default)]
struct Limit {
    requests: Option<HeaderValue>,
    tokens: Option<HeaderValue>,
}

const SCOPES: [Option<Scope>; 3] = [Some(Scope::Account), Some(Scope::Workspace), None];

impl Policies {
    pub(crate) fn of(limits: &CellLimits) -> Self {
        let both = [limits.account, limits.effective_workspace()];
        let number = |n: u64| HeaderValue::from(n);
        let limit = |it: &Limits| Limit {
            requests: it.rpm.map(|it| number(it.get())),
            tokens: it.tpm.map(|it| number(it.get())),
        };
        let policies = SCOPES.map(|requests| SCOPES.map(|tokens| policy(&both, requests, tokens)));
        Self { scopes: [limit(&both[0]), limit(&both[1])], policies }
    }

    /// The value of `ratelimit-policy`; empty when nothing is limited.
    pub(crate) fn policy(&self, requests: Option<Quota>, tokens: Option<Quota>) -> &HeaderValue {
        &self.policies[index(requests)][index(tokens)]
    }

    /// The value of `x-ratelimit-limit-requests`.
    pub(crate) fn requests(&self, quota: &Quota) -> HeaderValue {
        self.scopes[scope(quota)].requests.clone().unwrap_or_else(|| quota.limit.into())
    }

    /// The value of `x-ratelimit-limit-tokens`.
    pub(crate) fn tokens(&self, quota: &Quota) -> HeaderValue {
        self.scopes[scope(quota)].tokens.clone().unwrap_or_else(|| quota.limit.into())
    }
}

fn scope(quota: &Quota) -> usize {
    match quota.scope {
        Scope::Account => 0,
        Scope::Workspace => 1,
    }
}

fn index(quota: Option<Quota>) -> usize {
    quota.as_ref().map_or(2, scope)
}

fn policy(both: &[Limits; 2], requests: Option<Scope>, tokens: Option<Scope>) -> HeaderValue {
    let limits = |scope: Scope| both[usize::from(scope == Scope::Workspace)];
    let requests = requests.and_then(|scope| Some((scope, limits(scope).rpm?)));
    let tokens = tokens.and_then(|scope| Some((scope, limits(scope).tpm?)));
    let mut out = String::new();
    let mut item = |name: &str, q: u64, w: u64, scope: Scope, unit: &str| {
        let comma = if out.is_empty() { "" } else { ", " };
        let _ = write!(out, r#"{comma}"{name}";q={q};w={w};sluice-scope="{scope}"{unit}"#);
    };
    const TOKENS: &str = r#";sluice-unit="tokens""#;
    if let Some((scope, rpm)) = requests {
        item("rpm", rpm.get(), 60, scope, "");
    }
    if let Some((scope, tpm)) = tokens {
        item("tpm", tpm.get(), 60, scope, TOKENS);
    }
    if let Some((scope, rpm)) = requests {
        item("rps", rpm.per_second(), 1, scope, "");
    }
    if let Some((scope, tpm)) = tokens {
        item("tps", tpm.per_second(), 1, scope, TOKENS);
    }
    HeaderValue::from_str(&out).expect("names and digits make a header value")
}

#[cfg(test)]
mod tests {
    use domain::{Rpm, Tpm};

    use super::*;

    #[test]
    fn the_policy_of_the_wire_contract() {
        let limits = CellLimits {
            account: Limits { rpm: Rpm::new(600), tpm: Tpm::new(1_000_000) },
            workspace: Limits { rpm: Rpm::new(100), tpm: Tpm::new(200_000) },
            default_output: 1024,
        };
        let quota = |scope| Some(Quota { scope, limit: 100, remaining: 0, reset_us: 0, per_second: 2 });
        let policies = Policies::of(&limits);
        let (account, workspace) = (quota(Scope::Account), quota(Scope::Workspace));
        assert_eq!(
            policies.policy(workspace, workspace),
            r#""rpm";q=100;w=60;sluice-scope="workspace", "tpm";q=200000;w=60;sluice-scope="workspace";sluice-unit="tokens", "rps";q=2;w=1;sluice-scope="workspace", "tps";q=3334;w=1;sluice-scope="workspace";sluice-unit="tokens""#
        );
        assert_eq!(
            policies.policy(account, None),
            r#""rpm";q=600;w=60;sluice-scope="account", "rps";q=10;w=1;sluice-scope="account""#
        );
        assert_eq!(policies.policy(None, None), "");
        assert_eq!(policies.tokens(&account.unwrap()), "1000000");
    }
}
