//! Lists of files and batches: the provider lists what all workspaces made with its credential, and a workspace sees its
//! own. Pages are followed at the provider until a page of the workspace's own is full, for a client takes a page with
//! nothing on it for the end.

use std::{collections::HashSet, ops::Range, sync::Arc};

use bytes::Bytes;
use http::Response;

use super::{
    batches,
    passing::{Came, Passing, Stopped, of_other_length},
};
use crate::{
    json::{Fault, Kind, Scanner},
    owners::{self, Object},
    record::Outcome,
    relay::{Answer, Note},
    snapshot::ProviderEntry,
};

/// Pages of a provider that one list is looked for in.
const PAGES: usize = 100;
/// Objects of one page of the provider, where its own default would be few.
const AT_ONCE: usize = 100;
/// Objects on one page of an answer, whatever was asked for.
const MOST: usize = 10_000;

/// A page of a provider's list.
#[derive(Debug, Default, PartialEq, Eq)]
struct Page {
    objects: Vec<(String, Range<usize>)>,
    has_more: bool,
}

/// What was found so far.
#[derive(Default)]
struct List {
    ids: Vec<String>,
    json: Vec<u8>,
    has_more: bool,
}

impl Passing<'_> {
    pub(super) async fn list(&self, kind: owners::Kind, mut note: Note) -> Response<Answer> {
        match self.own_of(kind).await {
            Ok(Ok(list)) => {
                note.finish(Outcome::Ok);
                self.head.free(list.text())
            }
            // What the provider says of the query is for the client.
            Ok(Err((came, body))) => self.pass_read(came, body, note),
            Err(stopped) => self.stopped(&stopped, Some(note)),
        }
    }

    async fn own_of(&self, kind: owners::Kind) -> Result<Result<List, batches::Read>, Stopped> {
        let caller = self.head.caller.as_ref().ok_or(Stopped::NoKey)?;
        let own = self.head.gateway.owners.list(&caller.workspace, kind).await?;
        let asked = Query::of(self.query, kind);
        let after = match &asked.after {
            None => None,
            Some(id) => {
                let found = own.iter().find(|it| it.id == *id);
                Some(found.ok_or_else(|| Stopped::NoObject(kind, id.clone()))?)
            }
        };
        let mut providers = self.providers_of(&own)?;
        if let Some(after) = after {
            let at = providers.iter().position(|it| it.id == after.provider).unwrap_or(0);
            providers.drain(..at);
        }
        let mut list = List::default();
        for (n, provider) in providers.iter().enumerate() {
            let there: Vec<&Object> = own.iter().filter(|it| it.provider == provider.id).collect();
            let after = asked.after.clone().filter(|_| n == 0);
            if let Some(refused) = self.fill(&mut list, kind, provider, &there, &asked, after).await? {
                return Ok(Err(refused));
            }
            if list.has_more || list.ids.len() == asked.limit {
                list.has_more |= n + 1 < providers.len();
                break;
            }
        }
        Ok(Ok(list))
    }

    /// The providers of these objects, by name.
    fn providers_of(&self, own: &[Object]) -> Result<Vec<Arc<ProviderEntry>>, Stopped> {
        let mut providers: Vec<Arc<ProviderEntry>> = Vec::new();
        for object in own {
            if providers.iter().all(|it| it.id != object.provider) {
                // One that is no more has taken its objects along.
                providers.extend(self.provider(object).ok().filter(|it| it.openai.is_some()));
            }
        }
        providers.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        Ok(providers)
    }

    /// Follows the pages of one provider; its answer where that is an error.
    async fn fill(
        &self,
        list: &mut List,
        kind: owners::Kind,
        provider: &Arc<ProviderEntry>,
        own: &[&Object],
        asked: &Query,
        mut after: Option<String>,
    ) -> Result<Option<batches::Read>, Stopped> {
        // From the beginning, nothing is left once all have been seen.
        let mut unseen: Option<HashSet<&str>> = after.is_none().then(|| own.iter().map(|it| it.id.as_str()).collect());
        for _ in 0..PAGES {
            let query = asked.query(after.as_deref());
            let mut came: Came =
                self.send(provider, Some(&query).filter(|it| !it.is_empty()).map(String::as_str), None).await?;
            let body = self.read(&mut came, provider).await?;
            if !came.answer.status.is_success() {
                of_other_length(&mut came);
                return Ok(Some((came, body)));
            }
            let Ok(page) = Page::read(&body) else {
                return Err(Stopped::Trouble(super::attempt::Trouble::Unreadable, Arc::clone(provider), came.timing));
            };
            for (id, span) in &page.objects {
                let Some(object) = own.iter().find(|it| it.id == *id) else { continue };
                if list.ids.len() == asked.limit {
                    list.has_more = true;
                    return Ok(None);
                }
                if let Some(unseen) = &mut unseen {
                    unseen.remove(id.as_str());
                }
                let object_json = body.slice(span.clone());
                if kind == owners::Kind::Batch {
                    self.learn(object, provider, &object_json, None).await?;
                }
                list.add(id, &object_json);
            }
            let last = page.objects.last().map(|it| it.0.clone()).filter(|it| may_stand_in_a_query(it));
            if !page.has_more || last.is_none() || unseen.as_ref().is_some_and(HashSet::is_empty) {
                return Ok(None);
            }
            after = last;
        }
        list.has_more = true;
        Ok(None)
    }
}

/// Ids come from the provider, and go into the head of the next request.
fn may_stand_in_a_query(id: &str) -> bool {
    id.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_' | b'.' | b'~'))
}

impl List {
    fn add(&mut self, id: &str, json: &Bytes) {
        if !self.json.is_empty() {
            self.json.push(b',');
        }
        self.json.extend_from_slice(json);
        self.ids.push(id.to_owned());
    }

    /// The objects as the provider wrote them.
    fn text(&self) -> String {
        let quoted = |id: Option<&String>| {
            id.map_or_else(|| "null".to_owned(), |it| serde_json::Value::from(it.as_str()).to_string())
        };
        format!(
            r#"{{"object":"list","data":[{}],"first_id":{},"last_id":{},"has_more":{}}}"#,
            String::from_utf8_lossy(&self.json),
            quoted(self.ids.first()),
            quoted(self.ids.last()),
            self.has_more,
        )
    }
}

impl Page {
    fn read(body: &[u8]) -> Result<Self, Fault> {
        let mut page = Self::default();
        let mut scanner = Scanner::over(body)?;
        scanner.object(|it, key| {
            match &*it.name(key) {
                b"data" if it.peek()? == Kind::Array => it.array(|it| {
                    let span = it.skip()?;
                    if let Some(id) = batches::id_of(it.slice(span.clone())) {
                        page.objects.push((id, span));
                    }
                    Ok(())
                })?,
                b"has_more" => {
                    page.has_more = it.peek()? == Kind::True;
                    it.skip()?;
                }
                _ => {
                    it.skip()?;
                }
            }
            Ok(())
        })?;
        scanner.end()?;
        Ok(page)
    }
}

/// What a list is asked for.
struct Query {
    after: Option<String>,
    limit: usize,
    /// What else stands in the query, with the size of the provider's pages.
    rest: String,
}

impl Query {
    fn of(query: Option<&str>, kind: owners::Kind) -> Self {
        let (mut after, mut limit, mut rest) = (None, None, Vec::new());
        for pair in query.unwrap_or_default().split('&').filter(|it| !it.is_empty()) {
            match pair.split_once('=') {
                Some(("after", id)) => after = Some(id.to_owned()).filter(|it| !it.is_empty()),
                Some(("limit", given)) if given.parse::<usize>().is_ok_and(|it| it > 0) => limit = given.parse().ok(),
                _ => rest.push(pair.to_owned()),
            }
        }
        // Without a limit a provider lists many files, and few batches.
        let pages = match (limit, kind) {
            (Some(limit), _) => Some(AT_ONCE.max(limit)),
            (None, owners::Kind::File) => None,
            (None, _) => Some(AT_ONCE),
        };
        rest.extend(pages.map(|it| format!("limit={it}")));
        let default = if kind == owners::Kind::File { MOST } else { 20 };
        Self { after, limit: limit.unwrap_or(default).min(MOST), rest: rest.join("&") }
    }

    fn query(&self, after: Option<&str>) -> String {
        match (after, self.rest.as_str()) {
            (None, rest) => rest.to_owned(),
            (Some(after), "") => format!("after={after}"),
            (Some(after), rest) => format!("{rest}&after={after}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_a_provider() {
        let page = Page::read(
            br#"{"object":"list","has_more":true,"data":[{"id":"a","x":[{"id":"n"}]}, {"no":1},{"id":"b"}]}"#,
        );
        let page = page.unwrap();
        assert_eq!(page.objects.iter().map(|it| it.0.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((page.objects[0].1.clone(), page.has_more), (41..68, true));
        assert!(Page::read(b"<html>").is_err());
        assert_eq!(Page::read(b"{}"), Ok(Page::default()));
    }

    #[test]
    fn what_a_list_is_asked_for() {
        let query = Query::of(Some("limit=2&after=x&purpose=batch"), owners::Kind::File);
        assert_eq!((query.after.as_deref(), query.limit), (Some("x"), 2));
        assert_eq!(query.query(Some("y")), "purpose=batch&limit=100&after=y");
        let query = Query::of(None, owners::Kind::File);
        assert_eq!((query.query(None), query.limit), (String::new(), MOST));
        let query = Query::of(Some("limit=no"), owners::Kind::Batch);
        assert_eq!((query.query(None).as_str(), query.limit), ("limit=no&limit=100", 20));
    }
}
