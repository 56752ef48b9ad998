//! Everything a call is judged by, at one revision: keys, grants, limits, models, providers. Immutable; a change makes
//! a new one. Knows no rows and no database: the process fills [`Contents`] in.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
    time::Duration,
};

use domain::{AccountId, ErrorDialect, KeyId, Limits, Metering, ModelCode, ProviderId, ProviderName, WorkspaceId};
use limiter::{CellHandle, CellLimits, Ledger, WorkspaceSlot};
use sha2::{Digest, Sha256};

use crate::{
    base::{Base, BaseError, Credential},
    headers::policy::Policies,
    record::Caller,
};

/// What a snapshot is made of, as plain values. References by id must lead to things in the same contents.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// The store's revision, for logs and the console.
    pub revision: u64,
    /// All providers of all accounts.
    pub providers: Vec<Provider>,
    /// All models of all accounts.
    pub models: Vec<Model>,
    /// All workspaces of all accounts.
    pub workspaces: Vec<Workspace>,
    /// All keys that are not revoked.
    pub keys: Vec<Key>,
}

/// Where models are called.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its identity.
    pub id: ProviderId,
    /// Its name in error messages.
    pub name: ProviderName,
    /// Ends in `/v1`; `None`: not offered.
    pub openai_base_url: Option<String>,
    /// Ends in `/api/v1`; `None`: not offered.
    pub dashscope_base_url: Option<String>,
    /// As the Anthropic SDKs take it, without `/v1`; `None`: not offered.
    pub anthropic_base_url: Option<String>,
    /// What the gateway authenticates with; `None`: no such header is sent.
    pub credential: Option<Credential>,
}

/// A model of an account.
#[derive(Clone, Debug)]
pub struct Model {
    /// The account that has it.
    pub account: AccountId,
    /// The name clients use.
    pub code: ModelCode,
    /// Where it runs.
    pub provider: ProviderId,
    /// The provider's name for it; `None`: the code.
    pub upstream: Option<String>,
    /// What it is metered in.
    pub metering: Metering,
    /// The account's limits in force, a temporary increase included.
    pub limits: Limits,
    /// First guess of the output of calls that set no maximum.
    pub default_output_tokens: u64,
    /// The model that may take its place.
    pub backup: Option<ModelCode>,
    /// Whether the backup is used unless the call says otherwise.
    pub fallback: bool,
    /// When it was added, in milliseconds since the epoch.
    pub created_at_ms: i64,
    /// Its own time-outs.
    pub timeouts: Timeouts,
}

/// Time-outs of one model; `None` is the gateway's setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the provider's first byte.
    pub first_byte: Option<Duration>,
    /// Silence within a stream.
    pub silence: Option<Duration>,
}

/// A workspace and what it may call.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Its account.
    pub account: AccountId,
    /// Its identity.
    pub id: WorkspaceId,
    /// Its name in error messages.
    pub name: String,
    /// The models it may call.
    pub grants: Grants,
}

/// What a workspace may call.
#[derive(Clone, Debug)]
pub enum Grants {
    /// The default workspace: every model of the account, without limits of its own.
    Everything,
    /// The models granted, each with the workspace's own limits.
    These(Vec<(ModelCode, Limits)>),
}

/// An API key.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its identity.
    pub id: KeyId,
    /// The workspace it calls for.
    pub workspace: WorkspaceId,
    /// Digest of its secret.
    pub digest: KeyDigest,
    /// Whose codes its 429s carry.
    pub error_dialect: ErrorDialect,
    /// First instant at which it is no longer taken, in milliseconds since the epoch.
    pub expires_at_ms: Option<i64>,
}

/// SHA-256 of a key's secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// The digest of `secret`, as it is stored.
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Takes a stored digest.
    pub const fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl std::fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyDigest({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// One immutable state of the installation.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The store's revision it was made from.
    pub revision: u64,
    keys: HashMap<KeyDigest, KeyEntry, BuildHasherDefault<DigestHasher>>,
    providers: HashMap<ProviderId, Arc<ProviderEntry>>,
}

/// What a call finds with its key.
#[derive(Debug)]
pub(crate) struct KeyEntry {
    pub(crate) caller: Arc<Caller>,
    pub(crate) error_dialect: ErrorDialect,
    pub(crate) expires_at_ms: Option<i64>,
    pub(crate) workspace: Arc<WorkspaceEntry>,
}

/// What the keys of a workspace share.
#[derive(Debug)]
pub(crate) struct WorkspaceEntry {
    pub(crate) name: String,
    pub(crate) slot: WorkspaceSlot,
    pub(crate) grants: HashMap<Box<str>, Arc<Grant>>,
    /// Every model of the account: tells "no such model" from "not granted".
    pub(crate) account: Arc<AccountEntry>,
}

#[derive(Debug, Default)]
pub(crate) struct AccountEntry {
    pub(crate) models: HashMap<Box<str>, Arc<ModelEntry>>,
}

/// One model as one workspace may call it: all that admission needs.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) model: Arc<ModelEntry>,
    pub(crate) limits: CellLimits,
    pub(crate) cell: Arc<CellHandle>,
    pub(crate) policies: Policies,
}

#[derive(Debug)]
pub(crate) struct ModelEntry {
    pub(crate) code: Arc<ModelCode>,
    pub(crate) provider: Arc<ProviderEntry>,
    /// The provider's name as a JSON string, where it differs from the code.
    pub(crate) renamed: Option<bytes::Bytes>,
    pub(crate) metering: Metering,
    pub(crate) backup: Option<ModelCode>,
    pub(crate) fallback: bool,
    pub(crate) created_at: i64,
    pub(crate) timeouts: Timeouts,
    /// The code as a header value.
    pub(crate) header: http::HeaderValue,
    limits: Limits,
    default_output: u64,
}

#[derive(Debug)]
pub(crate) struct ProviderEntry {
    pub(crate) id: ProviderId,
    pub(crate) name: ProviderName,
    pub(crate) openai: Option<Arc<Base>>,
    pub(crate) native: Option<Arc<Base>>,
    pub(crate) anthropic: Option<Arc<Base>>,
}

/// Something in the contents that could not be used; what depends on it is left out.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A base URL that is none.
    #[error("provider {provider}: {source}")]
    BaseUrl {
        /// The provider.
        provider: ProviderName,
        /// What is wrong with it.
        source: BaseError,
    },
    /// A model whose provider is missing.
    #[error("model {model} has no provider")]
    NoProvider {
        /// The model.
        model: ModelCode,
    },
    /// A grant of a model that the account lacks.
    #[error("workspace {workspace} is granted model {model}, which its account has not")]
    NoModel {
        /// The workspace's name.
        workspace: String,
        /// The model.
        model: ModelCode,
    },
    /// A key of a workspace that is missing.
    #[error("key {key} has no workspace")]
    NoWorkspace {
        /// The key.
        key: KeyId,
    },
}

impl ModelEntry {
    /// The provider's name as a JSON string, if it differs from the one that the client gave: the provider has another
    /// name for the model, or this one runs in the place of another.
    pub(crate) fn name_instead_of(&self, given: &str) -> Option<bytes::Bytes> {
        match &self.renamed {
            Some(renamed) => Some(renamed.clone()),
            None if given == self.code.as_str() => None,
            // A model's code has no character that JSON would escape.
            None => Some(format!("\"{}\"", self.code).into()),
        }
    }
}

impl Snapshot {
    /// Makes a snapshot, with cells and slots from `ledger`, so that use survives every change of limits.
    pub fn build(contents: Contents, ledger: &Ledger) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let providers = providers(contents.providers, &mut problems);
        let accounts = accounts(contents.models, &providers, &mut problems);
        let workspaces = workspaces(contents.workspaces, &accounts, ledger, &mut problems);
        let mut keys = HashMap::default();
        for key in contents.keys {
            let Some((account, workspace)) = workspaces.get(&key.workspace) else {
                problems.push(Problem::NoWorkspace { key: key.id });
                continue;
            };
            let caller = Caller { account: account.clone(), workspace: key.workspace, key: key.id };
            keys.insert(
                key.digest,
                KeyEntry {
                    caller: Arc::new(caller),
                    error_dialect: key.error_dialect,
                    expires_at_ms: key.expires_at_ms,
                    workspace: Arc::clone(workspace),
                },
            );
        }
        (Self { revision: contents.revision, keys, providers }, problems)
    }

    /// A provider of any account: who asks has been told its id as that of something of its own.
    pub(crate) fn provider(&self, id: &ProviderId) -> Option<&Arc<ProviderEntry>> {
        self.providers.get(id)
    }

    /// The key with this digest, unless it has expired.
    pub(crate) fn find(&self, digest: &KeyDigest, now_ms: i64) -> Option<&KeyEntry> {
        self.keys.get(digest).filter(|it| it.expires_at_ms.is_none_or(|expiry| now_ms < expiry))
    }
}

fn providers(rows: Vec<Provider>, problems: &mut Vec<Problem>) -> HashMap<ProviderId, Arc<ProviderEntry>> {
    let mut entries = HashMap::new();
    for row in rows {
        let credential = row.credential.as_ref();
        let mut base = |url: Option<String>, parse: fn(&str, Option<&Credential>) -> Result<Base, BaseError>| {
            parse(&url?, credential)
                .map(Arc::new)
                .map_err(|source| problems.push(Problem::BaseUrl { provider: row.name.clone(), source }))
                .ok()
        };
        let entry = ProviderEntry {
            openai: base(row.openai_base_url, Base::bearer),
            native: base(row.dashscope_base_url, Base::bearer),
            anthropic: base(row.anthropic_base_url, Base::api_key),
            name: row.name,
            id: row.id.clone(),
        };
        entries.insert(row.id, Arc::new(entry));
    }
    entries
}

fn accounts(
    rows: Vec<Model>,
    providers: &HashMap<ProviderId, Arc<ProviderEntry>>,
    problems: &mut Vec<Problem>,
) -> HashMap<AccountId, Arc<AccountEntry>> {
    let mut entries: HashMap<AccountId, AccountEntry> = HashMap::new();
    for row in rows {
        let Some(provider) = providers.get(&row.provider) else {
            problems.push(Problem::NoProvider { model: row.code });
            continue;
        };
        let limits = match row.metering {
            Metering::Tokens => row.limits,
            Metering::Calls => Limits { tpm: None, ..row.limits },
        };
        let header = http::HeaderValue::from_str(row.code.as_str()).expect("a model code is printable ASCII");
        let renamed = row.upstream.filter(|it| it != row.code.as_str());
        let entry = ModelEntry {
            provider: Arc::clone(provider),
            renamed: renamed.map(|it| serde_json::to_vec(&it).expect("a string is JSON").into()),
            metering: row.metering,
            backup: row.backup,
            fallback: row.fallback,
            created_at: row.created_at_ms.div_euclid(1000),
            timeouts: row.timeouts,
            header,
            limits,
            default_output: row.default_output_tokens,
            code: Arc::new(row.code),
        };
        entries.entry(row.account).or_default().models.insert(entry.code.as_str().into(), Arc::new(entry));
    }
    entries.into_iter().map(|(id, entry)| (id, Arc::new(entry))).collect()
}

type Workspaces = HashMap<WorkspaceId, (AccountId, Arc<WorkspaceEntry>)>;

fn workspaces(
    rows: Vec<Workspace>,
    accounts: &HashMap<AccountId, Arc<AccountEntry>>,
    ledger: &Ledger,
    problems: &mut Vec<Problem>,
) -> Workspaces {
    let mut entries = HashMap::new();
    for row in rows {
        let account = accounts.get(&row.account).cloned().unwrap_or_default();
        let granted: Vec<(ModelCode, Limits)> = match row.grants {
            Grants::Everything => {
                account.models.values().map(|it| (it.code.as_ref().clone(), Limits::default())).collect()
            }
            Grants::These(granted) => granted,
        };
        let mut grants = HashMap::with_capacity(granted.len());
        for (code, own) in granted {
            let Some(model) = account.models.get(code.as_str()) else {
                problems.push(Problem::NoModel { workspace: row.name.clone(), model: code });
                continue;
            };
            let own = match model.metering {
                Metering::Tokens => own,
                Metering::Calls => Limits { tpm: None, ..own },
            };
            let limits = CellLimits { account: model.limits, workspace: own, default_output: model.default_output };
            let grant = Grant {
                policies: Policies::of(&limits),
                cell: ledger.cell(&row.account, &code),
                model: Arc::clone(model),
                limits,
            };
            grants.insert(code.as_str().into(), Arc::new(grant));
        }
        let entry = WorkspaceEntry { slot: ledger.workspace(&row.id), name: row.name, grants, account };
        entries.insert(row.id, (row.account, Arc::new(entry)));
    }
    entries
}

/// A digest is uniform already: its first bytes are the hash.
#[derive(Debug, Default)]
pub(crate) struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length_prefix: usize) {}
}
