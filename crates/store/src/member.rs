//! Members: who signs in.

use sqlx::FromRow;

use crate::{Conn, Result, Tx};

macro_rules! members {
    ($rest:literal) => {
        concat!(
            "select m.id, m.account_id, m.email, m.password_hash, m.role, m.workspace_id,
                coalesce(w.is_default, false) as in_default, w.name as workspace_name, a.name as account_name,
                m.created_at, m.last_sign_in_at, m.invite_expires_at
            from member m
            left join account a on a.id = m.account_id
            left join workspace w on w.id = m.workspace_id ",
            $rest
        )
    };
}

statements! {
    MEMBERS = members!("where m.account_id = $1 order by m.email_key");
    MEMBER = members!("where m.id = $1");
    MEMBER_BY_EMAIL = members!("where m.email_key = $1");
    MEMBER_BY_INVITE = members!("where m.invite_digest = $1 and m.invite_expires_at > $2");
    ANY_MEMBER = "select count(*) from (select 1 as one from member where password_hash is not null limit 1) as it";
    OWNERS = "select count(*) from member where account_id = $1 and role = 'owner' and password_hash is not null";
    INSERT_MEMBER = "insert into member (id, account_id, email, email_key, password_hash, role, workspace_id, created_at,
            invite_digest, invite_expires_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    SET_PASSWORD = "update member
        set password_hash = $1, invite_digest = null, invite_expires_at = null
        where account_id = $2 and id = $3";
    SET_INVITE = "update member
        set invite_digest = $1, invite_expires_at = $2
        where account_id = $3 and id = $4 and password_hash is null";
    SET_ROLE = "update member set role = $1, workspace_id = $2 where account_id = $3 and id = $4";
    SIGNED_IN = "update member set last_sign_in_at = $1 where id = $2";
    DELETE_MEMBER = "delete from member where account_id = $1 and id = $2";
}

/// One person of an account.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct MemberRow {
    /// Their identity.
    pub id: String,
    /// Their account.
    pub account_id: String,
    /// What they sign in with.
    pub email: String,
    /// Argon2id in PHC form; `None` while an invitation is open.
    pub password_hash: Option<String>,
    /// The word of a [`domain::Role`].
    pub role: String,
    /// Where a workspace admin or viewer belongs; `None` for owners and admins.
    pub workspace_id: Option<String>,
    /// Whether that is the account's default workspace.
    pub in_default: bool,
    /// That workspace's name.
    pub workspace_name: Option<String>,
    /// The account's name.
    pub account_name: Option<String>,
    /// When they were added.
    pub created_at: i64,
    /// When they last signed in.
    pub last_sign_in_at: Option<i64>,
    /// Until when an open invitation can be accepted.
    pub invite_expires_at: Option<i64>,
}

impl Conn {
    /// An account's members by address.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn members(&mut self, account: &str) -> Result<Vec<MemberRow>> {
        all!(self, MemberRow, MEMBERS, account)
    }

    /// One member; the caller compares the account.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn member(&mut self, id: &str) -> Result<Option<MemberRow>> {
        optional!(self, MemberRow, MEMBER, id)
    }

    /// Who signs in with this address; one person is in one account.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn member_by_email(&mut self, email: &str) -> Result<Option<MemberRow>> {
        optional!(self, MemberRow, MEMBER_BY_EMAIL, email.to_lowercase())
    }

    /// Whose invitation this is, if it is still open.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn member_by_invite(&mut self, digest: &[u8], now_ms: i64) -> Result<Option<MemberRow>> {
        optional!(self, MemberRow, MEMBER_BY_INVITE, digest, now_ms)
    }

    /// Whether anybody at all can sign in.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn any_member(&mut self) -> Result<bool> {
        Ok(scalar!(self, i64, ANY_MEMBER)? > 0)
    }

    /// How many owners of an account can sign in.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn owners(&mut self, account: &str) -> Result<i64> {
        scalar!(self, i64, OWNERS, account)
    }
}

impl Tx {
    /// Adds a member, with a password or with an invitation.
    ///
    /// # Errors
    /// [`crate::StoreError::Duplicate`] when the address is taken, in any account.
    pub async fn insert_member(&mut self, row: &MemberRow, invite_digest: Option<&[u8]>) -> Result<u64> {
        run!(
            self,
            INSERT_MEMBER,
            &row.id,
            &row.account_id,
            &row.email,
            row.email.to_lowercase(),
            row.password_hash.as_deref(),
            &row.role,
            row.workspace_id.as_deref(),
            row.created_at,
            invite_digest,
            row.invite_expires_at,
        )
    }

    /// Sets a password; an open invitation ends with it.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn set_password(&mut self, account: &str, id: &str, hash: &str) -> Result<u64> {
        run!(self, SET_PASSWORD, hash, account, id)
    }

    /// Renews an invitation that nobody has accepted.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn set_invite(&mut self, account: &str, id: &str, digest: &[u8], expires_at: i64) -> Result<u64> {
        run!(self, SET_INVITE, digest, expires_at, account, id)
    }

    /// Changes role and workspace.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn set_role(&mut self, account: &str, id: &str, role: &str, workspace: Option<&str>) -> Result<u64> {
        run!(self, SET_ROLE, role, workspace, account, id)
    }

    /// Notes a sign-in.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn signed_in(&mut self, id: &str, at_ms: i64) -> Result<u64> {
        run!(self, SIGNED_IN, at_ms, id)
    }

    /// Removes a member; their sessions end with them.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn delete_member(&mut self, account: &str, id: &str) -> Result<u64> {
        run!(self, DELETE_MEMBER, account, id)
    }
}
