//! Native asynchronous calls: a task is answered, belongs to the workspace that made it, and its result is asked for by
//! its id.

use bytes::Bytes;
use http::{HeaderMap, Response};

use super::passing::{Passing, Stopped};
use crate::{
    headers,
    json::{Kind, Scanner},
    owners,
    record::Lane,
    relay::Answer,
};

/// Whether a native call asks for a task in the place of an answer.
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    headers.get(&headers::DASHSCOPE_ASYNC).is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"enable"))
}

/// The id of the task that a call was answered with.
pub(super) fn id_in(answer: &[u8]) -> Option<String> {
    let mut found = None;
    let mut read = || {
        Scanner::over(answer)?.object(|it, key| {
            if &*it.name(key) != b"output" || it.peek()? != Kind::Object {
                return it.skip().map(drop);
            }
            it.object(|it, key| {
                if &*it.name(key) != b"task_id" || it.peek()? != Kind::String {
                    return it.skip().map(drop);
                }
                let text = it.string()?;
                found = Some(it.read(&text).into_owned());
                Ok(())
            })
        })
    };
    read().ok()?;
    found.filter(|it| !it.is_empty())
}

impl Passing<'_> {
    /// The result of a task, for the workspace that made it.
    pub(super) async fn task(&self) -> Response<Answer> {
        let asked = async {
            let (_, provider) = self.own(owners::Kind::Task, self.id()).await?;
            self.send(&provider, self.query, None::<Bytes>).await
        };
        let Some(note) = self.note(Lane::Free, super::batches::word("tasks")) else {
            return self.stopped(&Stopped::NoKey, None);
        };
        match asked.await {
            Ok(came) => self.pass(came, note),
            Err(stopped) => self.stopped(&stopped, Some(note)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_task() {
        let id = |text: &str| id_in(text.as_bytes());
        let answer = r#"{"output":{"task_status":"PENDING","task_id":"t\u002d1"},"task_id":"x","request_id":"r"}"#;
        assert_eq!(id(answer).as_deref(), Some("t-1"));
        for none in [
            "",
            "{",
            "{}",
            "[]",
            r#"{"output":"task_id"}"#,
            r#"{"output":{"task_id":""}}"#,
            r#"{"output":{"task_id":1}}"#,
        ] {
            assert_eq!(id(none), None, "{none}");
        }
    }
}
