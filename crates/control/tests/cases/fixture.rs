//! An installation with an owner, a provider, two models and a workspace.

use std::{path::Path, sync::Arc};

use control::{
    Actor, Control, ControlError, ManualWallClock, Passwords, Secret, Store, Vault, WallClock, accounts, apply,
    members::{self, NewMember},
    sign_in, workspaces,
};
use tempfile::TempDir;

pub(crate) const NOW: i64 = 1_763_812_800_000;
pub(crate) const DAY: i64 = 86_400_000;

pub(crate) struct Fixture {
    pub(crate) control: Control,
    pub(crate) clock: Arc<ManualWallClock>,
    pub(crate) owner: Actor,
    pub(crate) folder: TempDir,
}

pub(crate) const FILE: &str = r#"
[[provider]]
name = "dashscope"
openai_base_url = "https://example.com/compatible-mode/v1"

[[model]]
code = "qwen-plus"
provider = "dashscope"
rpm = 600
tpm = 1_000_000
tpm_upper_limit = 2_000_000

[[model]]
code = "qwen-flash"
provider = "dashscope"
rpm = 60
tpm = 100_000

[[workspace]]
name = "search"
models = [ { code = "qwen-plus", rpm = 100, tpm = 200_000 }, { code = "qwen-flash" } ]
"#;

pub(crate) fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

impl Fixture {
    /// Nothing but an empty, migrated database.
    pub(crate) async fn bare() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite://{}/sluice.db", folder.path().display())).await.unwrap();
        store.migrate().await.unwrap();
        let clock = Arc::new(ManualWallClock::at(NOW));
        let vault = Vault::open(&folder.path().join("secret.key")).unwrap();
        let control =
            Control::new(store, vault, Arc::clone(&clock) as Arc<dyn WallClock>, Passwords::cheap_for_tests());
        Self { control, clock, owner: Actor::command_line(""), folder }
    }

    pub(crate) async fn new() -> Self {
        let mut it = Self::bare().await;
        let account = accounts::find(&it.control, None).await.unwrap();
        let command_line = Actor::command_line(&account.id);
        it.apply(&command_line, FILE).await.unwrap();
        it.owner = it.member(&command_line, "owner", "").await;
        it
    }

    /// Adds a member called `role@…` and returns what they act with.
    pub(crate) async fn member(&self, by: &Actor, role: &str, workspace: &str) -> Actor {
        let form = NewMember {
            email: format!("{role}-{workspace}@{}.example.com", by.account()),
            role: role.to_owned(),
            workspace: workspace.to_owned(),
        };
        let id = members::create(&self.control, by, &form, secret("a password")).await.unwrap();
        sign_in::signed_in(&self.control, &id, Some("request".to_owned())).await.unwrap().unwrap().actor
    }

    /// Another account with the same configuration.
    pub(crate) async fn second_account(&self) -> Actor {
        let account = accounts::create(&self.control, "second").await.unwrap();
        let actor = Actor::command_line(&account.id);
        self.apply(&actor, FILE).await.unwrap();
        self.member(&actor, "owner", "").await
    }

    pub(crate) async fn apply(&self, actor: &Actor, text: &str) -> Result<apply::Plan, apply::ApplyError> {
        self.apply_in(actor, text, self.folder.path(), false).await
    }

    pub(crate) async fn apply_in(
        &self,
        actor: &Actor,
        text: &str,
        folder: &Path,
        dry_run: bool,
    ) -> Result<apply::Plan, apply::ApplyError> {
        let variable = |name: &str| (name == "UPSTREAM_KEY").then(|| "sk-upstream".to_owned());
        let source = apply::Source { name: "limits.toml", text, folder, variable: &variable };
        apply::apply(&self.control, actor, &source, dry_run).await
    }

    /// The id of the workspace of this name.
    pub(crate) async fn workspace(&self, actor: &Actor, name: &str) -> String {
        let listed = workspaces::list(&self.control, actor).await.unwrap();
        listed.into_iter().find(|it| it.name == name).unwrap().id
    }

    pub(crate) async fn revision(&self) -> i64 {
        control::snapshot::revision(&self.control).await.unwrap()
    }
}

/// The messages of an [`ControlError::Invalid`], as `field: message`.
pub(crate) fn messages<T: std::fmt::Debug>(result: control::Result<T>) -> Vec<String> {
    match result {
        Err(ControlError::Invalid(fields)) => {
            fields.into_iter().map(|it| format!("{}: {}", it.field, it.message)).collect()
        }
        other => panic!("field messages were expected, not {other:?}"),
    }
}
