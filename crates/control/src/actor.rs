//! Who administers: a member in the console, the command line, or the process itself.

use domain::{AccountId, Action, MemberId, Role, Standing, WorkspaceId};
use store::member::MemberRow;

use crate::{ControlError, Result};

/// Someone, or something, that asks for a use case.
#[derive(Clone, Debug)]
pub struct Actor {
    /// What it may do.
    pub standing: Standing,
    /// How the audit log names it: an address, `command line` or `sluice`.
    pub name: String,
    /// The request it asked with.
    pub request_id: Option<String>,
}

impl Actor {
    /// A member who is signed in; `None` for a role this version does not know.
    pub fn member(row: &MemberRow, request_id: Option<String>) -> Option<Self> {
        let standing = Standing {
            account: AccountId::new(row.account_id.as_str()),
            member: MemberId::new(row.id.as_str()),
            role: Role::parse(&row.role)?,
            workspace: row.workspace_id.as_deref().map(WorkspaceId::new),
            in_default: row.in_default,
        };
        Some(Self { standing, name: row.email.clone(), request_id })
    }

    /// Someone with the machine's command line and the data folder: may do everything in `account`.
    pub fn command_line(account: &str) -> Self {
        Self::unlimited(account, "command line")
    }

    /// The process itself, when time has something done.
    pub fn process(account: &str) -> Self {
        Self::unlimited(account, "sluice")
    }

    fn unlimited(account: &str, name: &str) -> Self {
        let standing = Standing {
            account: AccountId::new(account),
            member: MemberId::new(""),
            role: Role::Owner,
            workspace: None,
            in_default: false,
        };
        Self { standing, name: name.to_owned(), request_id: None }
    }

    /// The account it acts in.
    pub fn account(&self) -> &str {
        self.standing.account.as_str()
    }

    /// Goes on only if `action` is allowed.
    ///
    /// # Errors
    /// [`ControlError::Forbidden`] with whom to ask.
    pub fn authorise(&self, action: Action<'_>) -> Result<()> {
        if self.standing.may(action) {
            return Ok(());
        }
        Err(ControlError::Forbidden(match action {
            Action::View => "you may not see this",
            Action::Configure => "only owners and admins may change this; ask one of them",
            Action::ManageKeys(_) => {
                "only owners, admins and this workspace's admins may manage its keys; ask one of them"
            }
            Action::ManageMember(Role::Owner) => "only owners may manage owners; ask one of them",
            Action::ManageMember(_) => "only owners and admins may manage members; ask one of them",
            Action::ReadAudit => "only owners and admins may read the audit log; ask one of them",
        }))
    }

    /// Whether `workspace` may be shown.
    pub fn sees(&self, workspace: &str) -> bool {
        self.standing.sees(&WorkspaceId::new(workspace))
    }
}
