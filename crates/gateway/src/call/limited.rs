//! A call on a model whose body has been read: found, admitted, run, and if need be given up to the model's backup.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use limiter::{Decision, Demand, Denial, Micros, Settlement, Standing};

use super::{
    attempt::{Attempt, Ended},
    head::Head,
    offered, tasks,
    wishes::Wishes,
};
use crate::{
    base::Base,
    gateway::{Gateway, Running},
    headers::{self, Timing},
    meter::{Call, Run},
    record::{Outcome, Tokens},
    refusal::{Refusal, Undecided},
    relay::Answer,
    request::{Fields, StreamOptions},
    route::Operation,
    snapshot::{Grant, KeyDigest, KeyEntry, WorkspaceEntry},
    upstream::Pool,
    wait::{Waited, Waiting},
};

pub(super) struct Limited<'a> {
    pub(super) head: &'a Head,
    pub(super) pool: &'a Arc<Pool>,
    pub(super) operation: Operation,
    /// The path at the provider.
    pub(super) tail: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: HeaderMap,
    pub(super) bytes: &'a Bytes,
    pub(super) fields: Fields<'a>,
    pub(super) digest: KeyDigest,
    pub(super) wishes: Wishes,
    pub(super) read_at: Micros,
}

/// The 429 that the model asked for would have been answered with. Recorded when it is dropped: only then is it known
/// whether the backup did it.
struct Refusing {
    gateway: Arc<Gateway>,
    call: Call,
    denial: Denial,
    standing: Standing,
    grant: Arc<Grant>,
    workspace: Arc<WorkspaceEntry>,
    timing: Timing,
    decided: Micros,
    fell_back: bool,
}

impl Drop for Refusing {
    fn drop(&mut self) {
        self.gateway.records.push(self.call.refused(&self.denial, self.fell_back, self.decided));
    }
}

/// What a call finds in the snapshot.
struct Found {
    call: Call,
    grant: Arc<Grant>,
    base: Arc<Base>,
    workspace: Arc<WorkspaceEntry>,
}

/// A call whose client hangs up while it waits is recorded all the same.
struct Left<'a> {
    head: &'a Head,
    call: &'a Call,
    waiting: bool,
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        if self.waiting {
            let gateway = &self.head.gateway;
            let now = gateway.clock.now();
            let outcome = gateway.outcome_of_dropped();
            gateway.records.push(self.call.record(outcome, Tokens::default(), None, false, now));
        }
    }
}

/// A first attempt while the backup runs. Dropped, it has given the call up: to its backup, or to nobody when the client
/// leaves meanwhile; it ended by itself before that.
struct GivenUp(Option<Ended>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        if let Some(mut first) = self.0.take() {
            first.give_up();
            first.abandon();
        }
    }
}

/// What a call has come to before it is sent.
enum Admission {
    Stopped(Response<Answer>),
    Admitted(Attempt),
    /// Its model refused it, and the backup takes it.
    Backup(Attempt, Box<Refusing>),
}

impl Limited<'_> {
    pub(super) async fn answer(&self, running: Running) -> Response<Answer> {
        let (admission, waited_us) = self.admit(running).await;
        let mut response = match admission {
            Admission::Stopped(response) => response,
            Admission::Admitted(attempt) => self.run(attempt, None).await,
            Admission::Backup(attempt, refusing) => self.run(attempt, Some(refusing)).await,
        };
        if let Some(us) = waited_us {
            response.headers_mut().insert(&headers::WAITED_MS, (us / 1000).into());
        }
        response
    }

    async fn run(&self, attempt: Attempt, refusing: Option<Box<Refusing>>) -> Response<Answer> {
        let backup = if refusing.is_none() { self.backup_of(&attempt.grant).is_some() } else { true };
        let ended = attempt.send(self, backup).await;
        if let Some(mut refusing) = refusing {
            refusing.fell_back = ended.worked();
            let cause = refusing.denial.named.cause.as_str();
            if !refusing.fell_back {
                // Neither works: the refusal is that of the model asked for.
                let response = self.refuse(&refusing, Some("refused"));
                drop(refusing);
                ended.abandon();
                return response;
            }
            drop(refusing);
            let mut response = ended.respond(self.head);
            told(&mut response, cause);
            return response;
        }
        match ended.fallback_cause().filter(|_| backup) {
            None => ended.respond(self.head),
            // Boxed, for few calls fall back, and all would carry the room for it.
            Some(cause) => Box::pin(self.fall_back(ended, cause)).await,
        }
    }

    /// Runs the backup of a call whose provider failed; if that fails too, answers what the first came to.
    async fn fall_back(&self, first: Ended, cause: &'static str) -> Response<Answer> {
        let admitted = self.admit_backup(first.grant(), first.wait_us());
        let mut first = GivenUp(Some(first));
        if let Some(attempt) = admitted {
            let second = attempt.send(self, true).await;
            if second.worked() {
                drop(first);
                let mut response = second.respond(self.head);
                told(&mut response, cause);
                return response;
            }
            second.abandon();
        }
        let first = first.0.take().expect("it is taken here alone");
        let mut response = first.respond(self.head);
        told(&mut response, "refused");
        response
    }

    /// Finds the model and asks its cell; with the microseconds it waited, if it asked to wait.
    async fn admit(&self, running: Running) -> (Admission, Option<u64>) {
        let gateway = &self.head.gateway;
        let mut found = match self.find(self.head.now_ms) {
            Ok(found) => found,
            Err(response) => return (Admission::Stopped(*response), None),
        };
        let mut timing = Timing::default();
        let mut waited_us = None;
        let decision = if self.wishes.wait_s == 0 {
            gateway.queues.admit(&found.grant.cell, found.workspace.slot, &found.grant.limits, self.demand())
        } else {
            // Boxed, for few calls wait, and all would carry the room for it.
            let waited = Box::pin(self.wait(&found)).await;
            timing.wait_us = gateway.clock.now().since(self.read_at);
            waited_us = Some(timing.wait_us);
            // Key, model and provider may have changed meanwhile.
            found = match self.find(gateway.wall.now_ms()) {
                Ok(found) => found,
                Err(response) => {
                    if let Some(Decision::Admitted(permit, _)) = waited {
                        permit.settle(Settlement::Nothing);
                    }
                    return (Admission::Stopped(*response), waited_us);
                }
            };
            found.call.started_at_ms = gateway.wall.now_ms();
            match waited {
                Some(decision) => decision,
                // Given back in that very moment.
                None => {
                    let Found { grant, workspace, .. } = &found;
                    gateway.queues.admit(&grant.cell, workspace.slot, &grant.limits, self.demand())
                }
            }
        };
        let Found { call, grant, base, workspace } = found;
        let decided = match &decision {
            Decision::Admitted(permit, _) => permit.admitted_at(),
            Decision::Denied(..) | Decision::Undecided => gateway.clock.now(),
        };
        timing.limiter_us = decided.since(self.read_at).saturating_sub(timing.wait_us);
        let (denial, standing) = match decision {
            Decision::Admitted(permit, standing) => {
                let run = Run::new(running, call, permit);
                return (Admission::Admitted(Attempt { run, grant, base, standing, timing, decided }), waited_us);
            }
            Decision::Denied(denial, standing) => (denial, standing),
            Decision::Undecided => {
                gateway.records.push(call.record(Outcome::Undecided, Tokens::default(), None, false, decided));
                let response = self.head.respond(&Refusal::Undecided(Undecided::Usage), timing, None, None);
                return (Admission::Stopped(response), waited_us);
            }
        };
        let backup = self.backup_of(&grant).is_some();
        let attempt = if backup { self.admit_backup(&grant, timing.wait_us) } else { None };
        let (gateway, fell_back) = (Arc::clone(gateway), attempt.is_some());
        let refusing = Refusing { gateway, call, denial, standing, grant, workspace, timing, decided, fell_back };
        let admission = match attempt {
            Some(attempt) => Admission::Backup(attempt, Box::new(refusing)),
            None => Admission::Stopped(self.refuse(&refusing, backup.then_some("refused"))),
        };
        (admission, waited_us)
    }

    /// The model asked for, to a key that holds at `now_ms`. One snapshot says: it may have changed while the body came in.
    fn find(&self, now_ms: i64) -> Result<Found, Box<Response<Answer>>> {
        let head = self.head;
        let stop = |refusal: &Refusal<'_>| Err(Box::new(head.refuse(refusal)));
        let name = self.name();
        let snapshot = head.gateway.snapshot.load();
        let Some(entry) = snapshot.find(&self.digest, now_ms) else { return stop(&Refusal::NoKey) };
        let workspace = &entry.workspace;
        let Some(grant) = workspace.grants.get(name) else {
            return stop(&match workspace.account.models.get(name) {
                Some(_) => Refusal::NotGranted { workspace: &workspace.name, model: name },
                None => Refusal::NoModel(name),
            });
        };
        let Some(base) = offered(head.dialect, grant) else { return stop(&Refusal::NotOffered(name)) };
        Ok(Found {
            call: self.describe(entry, grant),
            grant: Arc::clone(grant),
            base: Arc::clone(base),
            workspace: Arc::clone(workspace),
        })
    }

    pub(super) fn asks_for_a_task(&self) -> bool {
        matches!(self.operation, Operation::Service { .. }) && tasks::is_asked_for(&self.headers)
    }

    fn name(&self) -> &str {
        &self.fields.model.as_ref().expect("a body without a model is invalid").name
    }

    async fn wait(&self, Found { call, grant, workspace, .. }: &Found) -> Waited {
        let gateway = &self.head.gateway;
        let (snapshot, digest) = (Arc::clone(&gateway.snapshot), self.digest);
        let (wall, model) = (Arc::clone(&gateway.wall), self.name().to_owned());
        let limits_now = Arc::new(move || {
            let snapshot = snapshot.load();
            Some(snapshot.find(&digest, wall.now_ms())?.workspace.grants.get(&*model)?.limits)
        });
        let request = Waiting { slot: workspace.slot, demand: self.demand(), limits_now };
        let mut left = Left { head: self.head, call, waiting: true };
        let patience = self.wishes.patience(&gateway.settings);
        let waited = gateway.queues.wait(&grant.cell, request, patience).await;
        left.waiting = false;
        waited
    }

    /// The backup's code, if this call may fall back to it.
    fn backup_of<'g>(&self, grant: &'g Grant) -> Option<&'g str> {
        let on = self.wishes.fallback.unwrap_or(grant.model.fallback);
        grant.model.backup.as_ref().filter(|_| on).map(domain::ModelCode::as_str)
    }

    /// A permit of the backup, if the workspace may call it, it speaks the dialect, and its own limits allow.
    fn admit_backup(&self, grant: &Grant, wait_us: u64) -> Option<Attempt> {
        let head = self.head;
        let snapshot = head.gateway.snapshot.load();
        let entry = snapshot.find(&self.digest, head.now_ms)?;
        let backup = entry.workspace.grants.get(self.backup_of(grant)?)?;
        let base = Arc::clone(offered(head.dialect, backup)?);
        let call = self.describe(entry, backup);
        let Decision::Admitted(permit, standing) =
            head.gateway.queues.admit(&backup.cell, entry.workspace.slot, &backup.limits, self.demand())
        else {
            return None;
        };
        let decided = permit.admitted_at();
        let limiter_us = decided.since(self.read_at).saturating_sub(wait_us);
        let timing = Timing { limiter_us, wait_us, ..Timing::default() };
        let run = Run::new(Running::new(&head.gateway), call, permit);
        Some(Attempt { run, grant: Arc::clone(backup), base, standing, timing, decided })
    }

    fn refuse(&self, refusing: &Refusing, fallback: Option<&'static str>) -> Response<Answer> {
        let Refusing { denial, standing, grant, workspace, timing, .. } = refusing;
        let refusal = Refusal::Limited { denial, workspace: &workspace.name, model: grant.model.code.as_str() };
        let limits = self.head.limits(grant, standing, Some(denial));
        let mut response = self.head.respond(&refusal, *timing, Some(limits), None);
        if let Some(word) = fallback {
            told(&mut response, word);
        }
        response
    }

    fn describe(&self, entry: &KeyEntry, grant: &Arc<Grant>) -> Call {
        let Self { head, fields, operation, headers, .. } = self;
        let retries = headers.get(&headers::RETRY_COUNT).and_then(|it| it.to_str().ok()?.parse().ok());
        let streamed = match operation {
            Operation::Service { .. } => asks_for_events(headers),
            _ => fields.stream,
        };
        let may_strip = matches!(operation, Operation::Chat | Operation::Completions) && streamed;
        Call {
            operation: *operation,
            caller: Arc::clone(&entry.caller),
            grant: Arc::clone(grant),
            request_id: head.id.uuid,
            arrived: head.arrived,
            started_at_ms: self.read_at_ms(),
            streamed,
            client_retries: retries.unwrap_or(0),
            incremental: fields.incremental,
            strip_usage: may_strip && fields.stream_options != StreamOptions::On,
        }
    }

    /// The time of day at which the call was read. The clock on the wall is not asked twice within a millisecond.
    fn read_at_ms(&self) -> i64 {
        let head = self.head;
        if self.read_at.since(head.arrived) < 1000 { head.now_ms } else { head.gateway.wall.now_ms() }
    }

    fn demand(&self) -> Demand {
        let fields = &self.fields;
        let max_output = match self.operation {
            Operation::Embeddings | Operation::Service { embeddings: true } => Some(0),
            _ => fields.max_output.map(|it| it.saturating_mul(fields.times.unwrap_or(1).max(1))),
        };
        let Fields { ascii_bytes, other_bytes, token_ids, .. } = *fields;
        Demand { ascii_bytes, other_bytes, token_ids, max_output }
    }
}

/// How a native call asks for a stream.
fn asks_for_events(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(header::ACCEPT)
        .is_some_and(|it| memchr::memmem::find(&it.as_bytes().to_ascii_lowercase(), b"text/event-stream").is_some());
    accept || headers.get(&headers::DASHSCOPE_SSE).is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"enable"))
}

fn told(response: &mut Response<Answer>, word: &'static str) {
    response.headers_mut().insert(&headers::FALLBACK, HeaderValue::from_static(word));
}
