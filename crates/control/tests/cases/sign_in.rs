use control::{
    ControlError, MEMBER_KEY, Sessions,
    setup::{self, SetupForm},
    sign_in,
};
use tower_sessions::{ExpiredDeletion as _, SessionStore as _, cookie::time::OffsetDateTime, session};

use crate::fixture::{DAY, Fixture, NOW, messages, secret};

fn form(token: &control::Secret<String>) -> SetupForm {
    SetupForm { token: token.clone(), email: " Ann@Example.com".to_owned(), password: secret("correct horse") }
}

#[tokio::test]
async fn whoever_has_the_token_becomes_the_owner_once() {
    let it = Fixture::bare().await;
    assert!(setup::is_open(&it.control).await.unwrap());
    let guess = form(&secret("guess"));
    assert_eq!(
        messages(setup::complete(&it.control, guess).await),
        ["token: this is not the token on the server's terminal"],
        "before a token was printed, nothing is one"
    );
    let token = setup::begin(&it.control).await.unwrap().unwrap();
    let wrong = SetupForm { email: "ann".to_owned(), password: secret("short"), ..form(&token) };
    let told = messages(setup::complete(&it.control, wrong).await);
    assert_eq!(told, ["email: this is no e-mail address", "password: a password has at least 8 characters"]);

    let (one, two) = tokio::join!(
        setup::complete(&it.control, form(&token)),
        setup::complete(&it.control, SetupForm { email: "bob@example.com".to_owned(), ..form(&token) })
    );
    assert!(one.is_ok() != two.is_ok(), "of two at once, one wins");
    assert!(!setup::is_open(&it.control).await.unwrap());
    assert!(setup::begin(&it.control).await.unwrap().is_none());
    assert!(setup::complete(&it.control, form(&token)).await.is_err());
}

#[tokio::test]
async fn unknown_addresses_and_wrong_passwords_are_told_the_same() {
    let it = Fixture::new().await;
    let email = it.owner.name.clone();
    let signed_in = sign_in::sign_in(&it.control, &email.to_uppercase(), secret("a password"), "::1").await.unwrap();
    assert_eq!(signed_in.email, email);
    let wrong = sign_in::sign_in(&it.control, &email, secret("a passwort"), "::1").await.unwrap_err();
    let unknown = sign_in::sign_in(&it.control, "nobody@example.com", secret("a password"), "::1").await.unwrap_err();
    assert!(matches!(wrong, ControlError::WrongCredentials));
    assert_eq!(wrong.to_string(), unknown.to_string());
}

#[tokio::test]
async fn guessing_is_slowed_down_and_even_the_right_password_waits() {
    let it = Fixture::new().await;
    let email = it.owner.name.clone();
    let attempt = |password: &'static str| sign_in::sign_in(&it.control, &email, secret(password), "::1");
    let mut blocked = false;
    for _ in 0..20 {
        blocked = matches!(attempt("a guess at it").await, Err(ControlError::TooManyAttempts { .. }));
    }
    assert!(blocked);
    assert!(matches!(attempt("a password").await, Err(ControlError::TooManyAttempts { .. })));
    it.clock.advance(60_000);
    assert!(attempt("a password").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_side_by_side_are_slowed_down_as_well() {
    let it = Fixture::new().await;
    let mut guesses = tokio::task::JoinSet::new();
    let mut changes = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (control, email) = (it.control.clone(), it.owner.name.clone());
        guesses.spawn(async move { sign_in::sign_in(&control, &email, secret("a guess at it"), "::1").await });
    }
    let guesses = guesses.join_all().await;
    let looked_at = guesses.iter().filter(|it| matches!(it, Err(ControlError::WrongCredentials))).count();
    let refused = guesses.iter().filter(|it| matches!(it, Err(ControlError::TooManyAttempts { .. }))).count();
    assert_eq!((looked_at, refused), (8, 32));
    it.clock.advance(3_600_000);
    for _ in 0..40 {
        let (control, actor) = (it.control.clone(), it.owner.clone());
        changes.spawn(async move {
            sign_in::change_password(&control, &actor, secret("a guess at it"), secret("another password"), "::2").await
        });
    }
    let changes = changes.join_all().await;
    assert_eq!(changes.iter().filter(|it| matches!(it, Err(ControlError::TooManyAttempts { .. }))).count(), 32);
}

#[tokio::test]
async fn a_changed_password_ends_every_session() {
    let it = Fixture::new().await;
    let sessions = Sessions::new(it.control.clone());
    let mut record = record(&it.owner, NOW + DAY);
    sessions.create(&mut record).await.unwrap();
    let change = |current, new| sign_in::change_password(&it.control, &it.owner, secret(current), secret(new), "::1");
    assert_eq!(messages(change("wrong", "another password").await), ["current: this is not your password"]);
    assert_eq!(messages(change("a password", "short").await), ["password: a password has at least 8 characters"]);
    assert!(sessions.load(&record.id).await.unwrap().is_some());
    change("a password", "another password").await.unwrap();
    assert!(sessions.load(&record.id).await.unwrap().is_none());
    let email = it.owner.name.as_str();
    assert!(sign_in::sign_in(&it.control, email, secret("a password"), "::1").await.is_err());
    assert!(sign_in::sign_in(&it.control, email, secret("another password"), "::1").await.is_ok());
}

fn record(actor: &control::Actor, expires_at: i64) -> session::Record {
    let mut data = std::collections::HashMap::new();
    data.insert(MEMBER_KEY.to_owned(), actor.standing.member.as_str().into());
    data.insert("theme".to_owned(), "dark".into());
    let expiry_date = OffsetDateTime::from_unix_timestamp_nanos(i128::from(expires_at) * 1_000_000).unwrap();
    session::Record { id: session::Id::default(), data, expiry_date }
}

#[tokio::test]
async fn sessions_are_kept_until_they_end() {
    let it = Fixture::new().await;
    let sessions = Sessions::new(it.control.clone());
    let mut first = record(&it.owner, NOW + 1_000);
    sessions.create(&mut first).await.unwrap();
    let mut second = session::Record { id: first.id, ..record(&it.owner, NOW + DAY) };
    sessions.create(&mut second).await.unwrap();
    assert_ne!(first.id, second.id, "an id that exists is not given to another session");

    assert_eq!(sessions.load(&first.id).await.unwrap(), Some(first.clone()));
    first.data.insert("theme".to_owned(), "light".into());
    sessions.save(&first).await.unwrap();
    assert_eq!(sessions.load(&first.id).await.unwrap(), Some(first.clone()));
    it.clock.advance(1_000);
    assert_eq!(sessions.load(&first.id).await.unwrap(), None);
    sessions.delete_expired().await.unwrap();
    assert_eq!(sessions.load(&second.id).await.unwrap(), Some(second.clone()));
    sessions.delete(&second.id).await.unwrap();
    assert_eq!(sessions.load(&second.id).await.unwrap(), None);

    let mut third = record(&it.owner, NOW + DAY);
    sessions.create(&mut third).await.unwrap();
    sign_in::sign_out_everywhere(&it.control, &it.owner).await.unwrap();
    assert_eq!(sessions.load(&third.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_copy_of_the_database_holds_no_session_id_password_or_key() {
    let it = Fixture::new().await;
    let sessions = Sessions::new(it.control.clone());
    let mut record = record(&it.owner, NOW + DAY);
    sessions.create(&mut record).await.unwrap();
    let form = control::keys::NewKey { workspace: "search".to_owned(), ..Default::default() };
    let key = control::keys::create(&it.control, &it.owner, &form).await.unwrap();
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(it.folder.path()).unwrap() {
        bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|it| it == needle);
    assert!(holds(key.prefix.as_bytes()), "the needle would be found");
    assert!(!holds(key.secret.expose().as_bytes()) && !holds(&key.secret.expose().as_bytes()[8..]));
    assert!(!holds(record.id.to_string().as_bytes()) && !holds(&record.id.0.to_le_bytes()));
    assert!(!holds(b"a password"));
}
