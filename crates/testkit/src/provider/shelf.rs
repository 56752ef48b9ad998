//! What the provider keeps for its callers: files that were uploaded, and batches of calls, which are done as soon as
//! somebody asks how far they are.

use std::{collections::BTreeMap, fmt::Write};

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::{answer::id_of, form::parts};

/// Everything kept, by id.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    files: BTreeMap<String, File>,
    batches: BTreeMap<String, Batch>,
    made: u64,
}

#[derive(Debug)]
struct File {
    name: String,
    purpose: String,
    content: Bytes,
    created: u64,
}

#[derive(Debug)]
struct Batch {
    input: String,
    endpoint: Value,
    window: Value,
    metadata: Value,
    created: u64,
    /// `None` while it is being looked at.
    done: Option<Done>,
    cancelled: bool,
}

#[derive(Debug)]
struct Done {
    output: String,
    total: u64,
    failed: u64,
    input_tokens: u64,
    output_tokens: u64,
}

/// What comes back: a status and a body, JSON unless it is a file's content.
pub(crate) type Reply = (u16, Bytes);

/// One request about a file or a batch.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a Method,
    /// After the version: `files`, `files/ID`, `files/ID/content`, `batches`, …
    pub(crate) path: &'a str,
    pub(crate) content_type: &'a str,
    pub(crate) body: &'a [u8],
    /// When it came, in seconds since 1970.
    pub(crate) now: u64,
}

impl Shelf {
    /// Answers a request. `run` answers the body of one call of a batch with a status and a body.
    pub(crate) fn answer(&mut self, request: &Request<'_>, run: impl FnMut(&[u8]) -> (u16, String)) -> Reply {
        let segments: Vec<&str> = request.path.split('/').collect();
        match (request.method.as_str(), segments.as_slice()) {
            ("POST", ["files"]) => self.upload(request),
            ("GET", ["files"]) => list(self.files.iter().map(|(id, it)| it.json(id))),
            ("GET", ["files", id]) => self.files.get(*id).map_or_else(|| missing("file", id), |it| ok(&it.json(id))),
            ("GET", ["files", id, "content"]) => {
                self.files.get(*id).map_or_else(|| missing("file", id), |it| (200, it.content.clone()))
            }
            ("DELETE", ["files", id]) => match self.files.remove(*id) {
                Some(_) => ok(&json!({ "id": id, "object": "file", "deleted": true })),
                None => missing("file", id),
            },
            ("POST", ["batches"]) => self.begin(request),
            ("GET", ["batches"]) => list(self.batches.iter().map(|(id, it)| it.json(id))),
            ("GET", ["batches", id]) => {
                self.finish(id, request.now, run);
                self.batches.get(*id).map_or_else(|| missing("batch", id), |it| ok(&it.json(id)))
            }
            ("POST", ["batches", id, "cancel"]) => match self.batches.get_mut(*id) {
                Some(batch) => {
                    batch.cancelled = batch.done.is_none();
                    ok(&batch.json(id))
                }
                None => missing("batch", id),
            },
            _ => wrong(404, "There is no such page."),
        }
    }

    fn upload(&mut self, request: &Request<'_>) -> Reply {
        let Some(parts) = parts(request.content_type, request.body) else {
            return wrong(400, "The body is no form with a file.");
        };
        let part = |name: &str| parts.iter().find(|it| it.name == name);
        let (Some(file), Some(purpose)) = (part("file"), part("purpose")) else {
            return wrong(400, "A file and a purpose are required.");
        };
        let file = File {
            name: file.filename.unwrap_or("upload").to_owned(),
            purpose: String::from_utf8_lossy(purpose.content).into_owned(),
            content: Bytes::copy_from_slice(file.content),
            created: request.now,
        };
        let id = self.keep(file);
        ok(&self.files[&id].json(&id))
    }

    fn keep(&mut self, file: File) -> String {
        let id = self.new_id("file-");
        self.files.insert(id.clone(), file);
        id
    }

    fn new_id(&mut self, prefix: &str) -> String {
        self.made += 1;
        // Apart from the ids of answers.
        format!("{prefix}{}", id_of(u64::MAX - self.made))
    }

    fn begin(&mut self, request: &Request<'_>) -> Reply {
        let Ok(asked) = serde_json::from_slice::<Value>(request.body) else {
            return wrong(400, "The body is no JSON.");
        };
        let input = asked["input_file_id"].as_str().unwrap_or_default();
        if !self.files.contains_key(input) {
            return missing("file", input);
        }
        let batch = Batch {
            input: input.to_owned(),
            endpoint: asked["endpoint"].clone(),
            window: asked["completion_window"].clone(),
            metadata: asked["metadata"].clone(),
            created: request.now,
            done: None,
            cancelled: false,
        };
        let id = self.new_id("batch_");
        let answer = ok(&batch.json(&id));
        self.batches.insert(id, batch);
        answer
    }

    /// Runs the calls of a batch, unless that was done or is no longer wanted.
    fn finish(&mut self, id: &str, now: u64, mut run: impl FnMut(&[u8]) -> (u16, String)) {
        let Some(batch) = self.batches.get(id).filter(|it| it.done.is_none() && !it.cancelled) else { return };
        let content = self.files.get(&batch.input).map(|it| it.content.clone()).unwrap_or_default();
        let mut done = Done { output: String::new(), total: 0, failed: 0, input_tokens: 0, output_tokens: 0 };
        let mut output = String::new();
        for line in content.split(|it| *it == b'\n').filter(|it| !it.trim_ascii().is_empty()) {
            let line: Value = serde_json::from_slice(line).unwrap_or_default();
            let (status, body) = run(line["body"].to_string().as_bytes());
            let body: Value = serde_json::from_str(&body).unwrap_or_default();
            done.total += 1;
            done.failed += u64::from(status != 200);
            done.input_tokens += body["usage"]["prompt_tokens"].as_u64().unwrap_or_default();
            done.output_tokens += body["usage"]["completion_tokens"].as_u64().unwrap_or_default();
            let response = json!({ "status_code": status, "request_id": body["id"], "body": body });
            let id = format!("batch_req_{}", done.total);
            let answer = json!({ "id": id, "custom_id": line["custom_id"], "response": response, "error": null });
            writeln!(output, "{answer}").expect("a String takes everything");
        }
        let name = format!("{id}_output.jsonl");
        done.output = self.keep(File { name, purpose: "batch_output".into(), content: output.into(), created: now });
        if let Some(batch) = self.batches.get_mut(id) {
            batch.done = Some(done);
        }
    }
}

impl File {
    fn json(&self, id: &str) -> Value {
        json!({
            "id": id, "object": "file", "bytes": self.content.len(), "created_at": self.created, "filename": self.name,
            "purpose": self.purpose, "status": "processed", "status_details": null,
        })
    }
}

impl Batch {
    fn json(&self, id: &str) -> Value {
        let status = match &self.done {
            Some(_) => "completed",
            None if self.cancelled => "cancelled",
            None => "validating",
        };
        let mut batch = json!({
            "id": id, "object": "batch", "endpoint": self.endpoint, "errors": null, "input_file_id": self.input,
            "completion_window": self.window, "status": status, "output_file_id": null, "error_file_id": null,
            "created_at": self.created, "metadata": self.metadata,
            "request_counts": { "total": 0, "completed": 0, "failed": 0 },
        });
        if let Some(done) = &self.done {
            let Done { output, total, failed, input_tokens, output_tokens } = done;
            batch["output_file_id"] = json!(output);
            batch["request_counts"] = json!({ "total": total, "completed": total - failed, "failed": failed });
            batch["usage"] = json!({
                "input_tokens": input_tokens, "output_tokens": output_tokens,
                "total_tokens": input_tokens + output_tokens,
            });
        }
        batch
    }
}

fn ok(value: &Value) -> Reply {
    (200, value.to_string().into())
}

fn list(values: impl Iterator<Item = Value>) -> Reply {
    let data: Vec<Value> = values.collect();
    let id = |it: Option<&Value>| it.map(|it| it["id"].clone());
    let (first, last) = (id(data.first()), id(data.last()));
    ok(&json!({ "object": "list", "data": data, "first_id": first, "last_id": last, "has_more": false }))
}

fn missing(kind: &str, id: &str) -> Reply {
    wrong(404, &format!("No such {kind}: {id}"))
}

fn wrong(status: u16, message: &str) -> Reply {
    let error = json!({ "message": message, "type": "invalid_request_error", "param": null, "code": null });
    (status, json!({ "error": error }).to_string().into())
}
