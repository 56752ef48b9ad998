//! What is configured: accounts, workspaces, limits, keys, members, sessions, increases, audit.

use domain::IncreaseState;
use store::{
    Store,
    account::AccountRow,
    api_key::KeyRow,
    audit::AuditRow,
    increase::IncreaseRow,
    member::MemberRow,
    model::ModelRow,
    provider::ProviderRow,
    session::SessionRow,
    workspace::{LimitRow, WorkspaceRow},
};

pub(crate) async fn check(store: &Store) {
    seed(store, "a").await;
    seed(store, "b").await;
    edits_are_counted_and_rolled_back(store).await;
    workspaces_and_limits(store).await;
    models_know_their_increase(store).await;
    keys(store).await;
    members_and_sessions(store).await;
    the_audit_log_is_read_by_cursor(store).await;
    nothing_of_one_account_is_in_the_other(store).await;
}

fn workspace(account: &str, id: &str, name: &str, is_default: bool) -> WorkspaceRow {
    WorkspaceRow {
        id: format!("{account}-{id}"),
        account_id: account.to_owned(),
        name: name.to_owned(),
        is_default,
        created_at: 1,
        archived_at: None,
        revision: 1,
        models: 0,
        keys: 0,
    }
}

fn key(account: &str, id: &str, digest: &[u8]) -> KeyRow {
    KeyRow {
        id: format!("{account}-{id}"),
        account_id: account.to_owned(),
        workspace_id: format!("{account}-search"),
        name: "ci".to_owned(),
        prefix: "sk-abcd".to_owned(),
        digest: digest.to_vec(),
        error_dialect: "dashscope".to_owned(),
        created_at: 5,
        created_by: "owner@example.com".to_owned(),
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
    }
}

fn increase(account: &str, id: &str, at: i64, tpm: i64) -> IncreaseRow {
    IncreaseRow {
        id: format!("{account}-{id}"),
        account_id: account.to_owned(),
        model_code: "qwen-plus".to_owned(),
        requested_at: at,
        requested_by: "owner@example.com".to_owned(),
        former_tpm: 1_000_000,
        tpm,
        valid_until: at + 1_000,
        state: IncreaseState::Active.as_str().to_owned(),
        ended_at: None,
        ended_by: None,
        kept_at: None,
        peak_used: 0,
    }
}

pub(crate) async fn seed(store: &Store, account: &str) {
    let mut tx = store.edit().await.unwrap();
    tx.insert_account(&AccountRow::with_defaults(account, account, 1)).await.unwrap();
    tx.insert_workspace(&workspace(account, "default", "default", true)).await.unwrap();
    tx.insert_workspace(&workspace(account, "search", "Search", false)).await.unwrap();
    tx.insert_provider(&ProviderRow {
        id: format!("{account}-p"),
        account_id: account.to_owned(),
        name: "dashscope".to_owned(),
        openai_base_url: Some("https://example.com/v1".to_owned()),
        dashscope_base_url: None,
        anthropic_base_url: None,
        credential: Some(vec![0, 255, 7]),
        created_at: 1,
        revision: 1,
    })
    .await
    .unwrap();
    tx.insert_model(&ModelRow {
        account_id: account.to_owned(),
        code: "qwen-plus".to_owned(),
        provider_id: format!("{account}-p"),
        provider_name: String::new(),
        upstream: "qwen-plus".to_owned(),
        metering: "tokens".to_owned(),
        rpm: 600,
        tpm: Some(1_000_000),
        tpm_upper_limit: Some(2_000_000),
        backup: None,
        fallback: false,
        default_output_tokens: 1024,
        first_byte_timeout_s: Some(600),
        stream_silence_s: None,
        created_at: 1,
        revision: 1,
        increase_id: None,
        increase_tpm: None,
        increase_valid_until: None,
        learned_factor_ppm: None,
        learned_output_tokens: None,
    })
    .await
    .unwrap();
    tx.commit().await.unwrap();
}

async fn edits_are_counted_and_rolled_back(store: &Store) {
    let before = store.read().await.unwrap().revision().await.unwrap();
    drop(store.edit().await.unwrap());
    assert_eq!(store.read().await.unwrap().revision().await.unwrap(), before);
    store.edit().await.unwrap().commit().await.unwrap();
    assert_eq!(store.read().await.unwrap().revision().await.unwrap(), before + 1);
}

async fn workspaces_and_limits(store: &Store) {
    let mut tx = store.edit().await.unwrap();
    let limit = LimitRow {
        workspace_id: "a-search".to_owned(),
        account_id: "a".to_owned(),
        model_code: "qwen-plus".to_owned(),
        rpm: Some(0),
        tpm: None,
    };
    tx.set_limit(&limit).await.unwrap();
    tx.set_limit(&LimitRow { rpm: Some(100), ..limit.clone() }).await.unwrap();
    tx.commit().await.unwrap();

    let mut conn = store.read().await.unwrap();
    let limits = conn.workspace_limits("a", "a-search").await.unwrap();
    assert_eq!(limits, [LimitRow { rpm: Some(100), ..limit.clone() }]);
    let listed = conn.workspaces("a").await.unwrap();
    assert_eq!(listed.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["default", "Search"]);
    assert!(listed[0].is_default && listed[1].models == 1 && listed[1].keys == 0);
    drop(conn);

    let mut tx = store.edit().await.unwrap();
    assert!(tx.insert_workspace(&workspace("a", "other", "SEARCH", false)).await.unwrap_err().is_duplicate());
    drop(tx);
    let mut tx = store.edit().await.unwrap();
    assert!(tx.insert_workspace(&workspace("a", "second", "second", true)).await.unwrap_err().is_duplicate());
    drop(tx);
    let mut tx = store.edit().await.unwrap();
    let unknown = LimitRow { model_code: "nothing".to_owned(), ..limit.clone() };
    assert!(matches!(tx.set_limit(&unknown).await, Err(store::StoreError::Reference(_))));
    drop(tx);

    let mut tx = store.edit().await.unwrap();
    assert_eq!(tx.touch_workspace("a", "a-search", 7).await.unwrap(), 0);
    assert_eq!(tx.touch_workspace("a", "a-search", 1).await.unwrap(), 1);
    assert_eq!(tx.archive_workspace("a", "a-default", 9, 1).await.unwrap(), 0);
    assert_eq!(tx.archive_workspace("a", "a-search", 9, 2).await.unwrap(), 1);
    // Its name is free again.
    tx.insert_workspace(&workspace("a", "other", "search", false)).await.unwrap();
    drop(tx);
}

async fn models_know_their_increase(store: &Store) {
    let mut tx = store.edit().await.unwrap();
    tx.insert_increase(&increase("a", "i1", 10, 1_500_000)).await.unwrap();
    tx.raise_peak("a", "qwen-plus", 3_600_001, 700).await.unwrap();
    tx.raise_peak("a", "qwen-plus", 3_600_002, 600).await.unwrap();
    tx.set_learned("a", "qwen-plus", 900_000, Some(77), 5).await.unwrap();
    tx.commit().await.unwrap();

    let mut conn = store.read().await.unwrap();
    let model = conn.model("a", "qwen-plus").await.unwrap().unwrap();
    assert_eq!(model.effective_tpm(1_009), Some(1_500_000));
    assert_eq!(model.effective_tpm(1_010), Some(1_000_000));
    assert_eq!((model.learned_factor_ppm, model.learned_output_tokens), (Some(900_000), Some(77)));
    assert_eq!(conn.active_increase("a", "qwen-plus").await.unwrap().unwrap().peak_used, 700);
    assert_eq!(conn.peak_since("a", "qwen-plus", 0).await.unwrap(), 700);
    assert_eq!(conn.peak_since("a", "qwen-plus", 3_600_001).await.unwrap(), 0);
    assert_eq!(conn.last_peak_above("a", "qwen-plus", 699).await.unwrap(), Some(3_600_000));
    assert_eq!(conn.last_peak_above("a", "qwen-plus", 700).await.unwrap(), None);
    drop(conn);

    let mut tx = store.edit().await.unwrap();
    assert!(tx.insert_increase(&increase("a", "i2", 20, 1_600_000)).await.unwrap_err().is_duplicate());
    drop(tx);
    let mut tx = store.edit().await.unwrap();
    assert_eq!(tx.end_increase("a", "a-i1", IncreaseState::Replaced, 20, Some("x")).await.unwrap(), 1);
    assert_eq!(tx.end_increase("a", "a-i1", IncreaseState::Expired, 21, None).await.unwrap(), 0);
    tx.insert_increase(&increase("a", "i2", 20, 1_600_000)).await.unwrap();
    tx.commit().await.unwrap();
    let mut conn = store.read().await.unwrap();
    let page = conn.increases("a", i64::MAX, "", 1).await.unwrap();
    assert_eq!(page[0].id, "a-i2");
    let next = conn.increases("a", page[0].requested_at, &page[0].id, 5).await.unwrap();
    assert_eq!((next.len(), next[0].state.as_str(), next[0].ended_at), (1, "replaced", Some(20)));
}

async fn keys(store: &Store) {
    let mut tx = store.edit().await.unwrap();
    tx.insert_key(&key("a", "k1", &[1; 32])).await.unwrap();
    tx.insert_key(&KeyRow { expires_at: Some(100), ..key("a", "k2", &[2; 32]) }).await.unwrap();
    tx.key_used("a-k1", 50).await.unwrap();
    tx.key_used("a-k1", 40).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.edit().await.unwrap();
    assert!(tx.insert_key(&key("b", "k1", &[1; 32])).await.unwrap_err().is_duplicate());
    drop(tx);

    let mut conn = store.read().await.unwrap();
    assert_eq!(conn.count_keys("a-search", 99).await.unwrap(), 2);
    assert_eq!(conn.count_keys("a-search", 100).await.unwrap(), 1);
    assert_eq!(conn.key("a", "a-k1").await.unwrap().unwrap().last_used_at, Some(50));
    drop(conn);
    let mut tx = store.edit().await.unwrap();
    assert_eq!(tx.revoke_key("b", "a-k1", 60).await.unwrap(), 0);
    assert_eq!(tx.revoke_key("a", "a-k1", 60).await.unwrap(), 1);
    assert_eq!(tx.revoke_key("a", "a-k1", 61).await.unwrap(), 0);
    tx.commit().await.unwrap();
    let usable = store.read().await.unwrap().usable_keys().await.unwrap();
    assert_eq!(usable.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["a-k2"]);
}

async fn members_and_sessions(store: &Store) {
    let member = |account: &str, id: &str, email: &str, hash: Option<&str>| MemberRow {
        id: format!("{account}-{id}"),
        account_id: account.to_owned(),
        email: email.to_owned(),
        password_hash: hash.map(ToOwned::to_owned),
        role: "owner".to_owned(),
        workspace_id: None,
        in_default: false,
        workspace_name: None,
        account_name: None,
        created_at: 1,
        last_sign_in_at: None,
        invite_expires_at: None,
    };
    assert!(!store.read().await.unwrap().any_member().await.unwrap());
    let mut tx = store.edit().await.unwrap();
    tx.insert_member(&member("a", "m1", "Ann@Example.com", Some("hash")), None).await.unwrap();
    let invited = MemberRow {
        invite_expires_at: Some(100),
        role: "viewer".to_owned(),
        workspace_id: Some("a-default".to_owned()),
        ..member("a", "m2", "bob@example.com", None)
    };
    tx.insert_member(&invited, Some(&[9; 32])).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = store.edit().await.unwrap();
    assert!(tx.insert_member(&member("b", "m1", "ann@example.COM", None), None).await.unwrap_err().is_duplicate());
    drop(tx);

    let mut conn = store.read().await.unwrap();
    assert!(conn.any_member().await.unwrap());
    assert_eq!(conn.owners("a").await.unwrap(), 1);
    assert_eq!(conn.member_by_email("ANN@example.com").await.unwrap().unwrap().id, "a-m1");
    let bob = conn.member_by_invite(&[9; 32], 99).await.unwrap().unwrap();
    assert!(bob.in_default && bob.workspace_name.as_deref() == Some("default"));
    assert_eq!(conn.member_by_invite(&[9; 32], 100).await.unwrap(), None);
    drop(conn);

    let mut tx = store.begin().await.unwrap();
    let row = SessionRow { expires_at: 50, content: "{}".to_owned() };
    assert!(tx.insert_session(&[1; 32], Some("a-m1"), &row).await.unwrap());
    assert!(!tx.insert_session(&[1; 32], None, &row).await.unwrap());
    assert_eq!(tx.update_session(&[2; 32], Some("a-m2"), &row).await.unwrap(), 0, "an ended session stays ended");
    assert!(tx.insert_session(&[2; 32], None, &row).await.unwrap());
    assert_eq!(tx.update_session(&[2; 32], Some("a-m2"), &row).await.unwrap(), 1);
    let over = SessionRow { expires_at: 10, content: "{}".to_owned() };
    assert!(tx.insert_session(&[3; 32], None, &over).await.unwrap());
    assert_eq!(tx.delete_expired_sessions(10).await.unwrap(), 1);
    assert_eq!(tx.delete_member("a", "a-m2").await.unwrap(), 1);
    tx.commit().await.unwrap();
    let mut conn = store.read().await.unwrap();
    assert_eq!(conn.session(&[2; 32], 0).await.unwrap(), None, "a member's sessions end with the member");
    assert_eq!(conn.session(&[1; 32], 49).await.unwrap(), Some(row));
    assert_eq!(conn.session(&[1; 32], 50).await.unwrap(), None);
    drop(conn);
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.delete_sessions_of("a-m1").await.unwrap(), 1);
    tx.commit().await.unwrap();
}

async fn the_audit_log_is_read_by_cursor(store: &Store) {
    let mut tx = store.edit().await.unwrap();
    for (account, id, at_ms, actor) in
        [("a", "1", 5, "ann"), ("a", "2", 5, "bob"), ("a", "3", 6, "ann"), ("b", "4", 7, "ann")]
    {
        let row = AuditRow {
            id: id.to_owned(),
            account_id: account.to_owned(),
            at_ms,
            actor: actor.to_owned(),
            action: "set".to_owned(),
            object_kind: "model".to_owned(),
            object: "qwen-plus".to_owned(),
            before_json: None,
            after_json: Some("{}".to_owned()),
            request_id: None,
        };
        tx.insert_audit_event(&row).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut conn = store.read().await.unwrap();
    let ids = |rows: Vec<AuditRow>| rows.into_iter().map(|it| it.id).collect::<Vec<_>>();
    assert_eq!(ids(conn.audit_events("a", 0, (i64::MAX, ""), "", "", 2).await.unwrap()), ["3", "2"]);
    assert_eq!(ids(conn.audit_events("a", 0, (5, "2"), "", "", 2).await.unwrap()), ["1"]);
    assert_eq!(ids(conn.audit_events("a", 0, (i64::MAX, ""), "ann", "model", 9).await.unwrap()), ["3", "1"]);
    assert_eq!(ids(conn.audit_events("a", 0, (i64::MAX, ""), "AN", "model", 9).await.unwrap()), ["3", "1"]);
    for nobody in ["a%n", "a_n", "\\", "%"] {
        assert!(conn.audit_events("a", 0, (i64::MAX, ""), nobody, "", 9).await.unwrap().is_empty(), "{nobody}");
    }
    assert!(conn.audit_events("a", i64::MAX, (i64::MAX, ""), "", "", 9).await.unwrap().is_empty());
}

async fn nothing_of_one_account_is_in_the_other(store: &Store) {
    let mut conn = store.read().await.unwrap();
    assert_eq!(conn.workspaces("b").await.unwrap().len(), 2);
    assert!(conn.workspaces("b").await.unwrap().iter().all(|it| it.account_id == "b"));
    assert_eq!(conn.workspace("b", "a-search").await.unwrap(), None);
    assert!(conn.workspace_limits("b", "a-search").await.unwrap().is_empty());
    assert!(conn.account_limits("b").await.unwrap().is_empty());
    assert!(conn.keys("b").await.unwrap().is_empty());
    assert!(conn.keys_of_workspace("b", "a-search").await.unwrap().is_empty());
    assert_eq!(conn.key("b", "a-k1").await.unwrap(), None);
    assert!(conn.members("b").await.unwrap().is_empty());
    assert_eq!(conn.provider("b", "a-p").await.unwrap(), None);
    assert_eq!(conn.providers("b").await.unwrap().len(), 1);
    assert_eq!(conn.models("b").await.unwrap()[0].increase_id, None);
    assert_eq!(conn.increase("b", "a-i2").await.unwrap(), None);
    assert!(conn.increases("b", i64::MAX, "", 9).await.unwrap().is_empty());
    assert_eq!(conn.audit_events("b", 0, (i64::MAX, ""), "", "", 9).await.unwrap().len(), 1);
}
