//! Who may do what in the console. Decided here, enforced in `control`, used by pages to disable what is not allowed.

use crate::{AccountId, MemberId, WorkspaceId, refusal::words};
use serde::{Deserialize, Serialize};

words! {
    /// A member's role.
    Role {
        /// Everything, including other owners.
        Owner = "owner",
        /// Everything but owners.
        Admin = "admin",
        /// Keys of one workspace; sees its limits and use.
        WorkspaceAdmin = "workspace-admin",
        /// Reads.
        Viewer = "viewer",
    }
}

impl Role {
    /// Owners and admins act on the whole account; the others belong to one workspace.
    pub const fn whole_account(self) -> bool {
        matches!(self, Self::Owner | Self::Admin)
    }
}

/// What someone asks to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Read figures and limits of the own workspace and the account.
    View,
    /// Change models, providers, workspaces, limits and increases, or account settings.
    Configure,
    /// Make, rotate or revoke keys of this workspace.
    ManageKeys(&'a WorkspaceId),
    /// Invite, change or remove a member who has, or is to have, this role.
    ManageMember(Role),
    /// Read the account's audit log.
    ReadAudit,
}

/// Where a member stands: what [`Action`]s are judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The member's account.
    pub account: AccountId,
    /// The member.
    pub member: MemberId,
    /// The member's role.
    pub role: Role,
    /// The workspace a workspace admin or viewer belongs to; `None` for owners and admins.
    pub workspace: Option<WorkspaceId>,
    /// Whether that workspace is the account's default one, whose members see all workspaces.
    pub in_default: bool,
}

impl Standing {
    /// Whether `action` is allowed.
    pub fn may(&self, action: Action<'_>) -> bool {
        match action {
            Action::View => true,
            Action::Configure | Action::ReadAudit => self.role.whole_account(),
            Action::ManageKeys(workspace) => match self.role {
                Role::Owner | Role::Admin => true,
                Role::WorkspaceAdmin => self.workspace.as_ref() == Some(workspace),
                Role::Viewer => false,
            },
            Action::ManageMember(role) => match self.role {
                Role::Owner => true,
                Role::Admin => role != Role::Owner,
                Role::WorkspaceAdmin | Role::Viewer => false,
            },
        }
    }

    /// Whether names and use of `workspace` may be shown.
    pub fn sees(&self, workspace: &WorkspaceId) -> bool {
        self.sees_all() || self.workspace.as_ref() == Some(workspace)
    }

    /// Whether every workspace of the account may be shown.
    pub fn sees_all(&self) -> bool {
        self.role.whole_account() || self.in_default
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(role: Role, workspace: Option<&str>) -> Standing {
        Standing {
            account: AccountId::new("a"),
            member: MemberId::new("m"),
            role,
            workspace: workspace.map(WorkspaceId::new),
            in_default: false,
        }
    }

    #[test]
    fn a_viewer_only_reads() {
        let viewer = member(Role::Viewer, Some("w1"));
        let own = WorkspaceId::new("w1");
        assert!(viewer.may(Action::View));
        for action in
            [Action::Configure, Action::ManageKeys(&own), Action::ManageMember(Role::Viewer), Action::ReadAudit]
        {
            assert!(!viewer.may(action), "{action:?}");
        }
    }

    #[test]
    fn a_workspace_admin_keeps_to_the_own_workspace() {
        let admin = member(Role::WorkspaceAdmin, Some("w1"));
        let (own, other) = (WorkspaceId::new("w1"), WorkspaceId::new("w2"));
        assert!(admin.may(Action::ManageKeys(&own)) && !admin.may(Action::ManageKeys(&other)));
        assert!(admin.sees(&own) && !admin.sees(&other) && !admin.may(Action::Configure));
    }

    #[test]
    fn only_owners_touch_owners() {
        assert!(!member(Role::Admin, None).may(Action::ManageMember(Role::Owner)));
        assert!(member(Role::Owner, None).may(Action::ManageMember(Role::Owner)));
    }
}
