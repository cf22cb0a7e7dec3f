//! Every operation of the API's document, with requests that are made from its schemas, in order and out of order. Whatever comes, the
//! engine does not fail, and it answers with what the document says of the operation.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use axum::body::to_bytes;
use axum::http::{Method, header};
use jsonschema::Validator;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};
use valet_engine::bounds::{EVENT_STREAMS_MAX, TOKEN_BURST};
use valet_engine::http::{Limits, PROBLEM_CODES, Rate};

use super::access::{Things, secret};
use super::app::TestApp;
use super::calls::{Answer, Call, OTHER_TENANT, WORKER};
use super::worker::Worker;

/// `VALET_SEED` has another one.
const SEED: u64 = 7;
/// Rounds over all operations in which nothing is out of order.
const ORDERLY_ROUNDS: usize = 4;
/// Rounds in which anything may be.
const UNRULY_ROUNDS: usize = 150;
/// No new round begins after so long.
const ROUNDS_MOST: Duration = Duration::from_secs(30);
/// Deepest value that is made of a schema.
const DEPTH_MAX: usize = 6;

/// Operations that want what no request makes by itself: the token of a sandbox, a delivery that was sent, a cookie, a step that failed.
const NEVER_DONE: [&str; 7] =
    ["close_session", "kill_sandbox", "redeliver", "retry_run", "sandbox_event", "show_session", "undo_bulk_operation"];

/// Each part of its body is checked for itself, and refused in an answer that is none.
const REFUSES_PARTS: &str = "start_runs";

/// Texts that somebody forgot somewhere.
const ODD: [&str; 22] = [
    "",
    " ",
    ".",
    "..",
    "../../etc/passwd",
    "%00",
    "\u{0}",
    "a\u{0}b",
    "\u{7f}\u{1}",
    "\u{202e}\u{feff}",
    "🦀é\u{301}",
    "null",
    "-1",
    "9223372036854775808",
    "1e400",
    "NaN",
    "'; DROP TABLE runs; --",
    "{{x}}",
    "*",
    "a:b:c",
    "2026-13-45T99:99:99Z",
    "999999-01-01T00:00:00Z",
];

/// Cursors and ids that look nearly right: base64 of `:`, `a:b`, an instant far away, a number beyond any, and half an id.
const CURSORS: [&str; 6] =
    ["Og", "YTpi", "OTk5OTk5OTk5OTk5OTk5OTk5OTphYg", "LTkyMjMzNzIwMzY4NTQ3NzU4MDg6eA", "run_0", "=="];

/// Instants at and beyond the ends of what a column, or a calendar, holds.
const INSTANTS: [&str; 7] = [
    "2026-11-21T00:00:00Z",
    "2026-11-21T00:10:00Z",
    "2099-01-01T00:00:00+14:00",
    "1970-01-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:60Z",
    "+262142-12-31T23:59:59Z",
];

struct Operation {
    id: String,
    method: Method,
    path: String,
    parameters: Vec<Value>,
    body: Option<(String, Value)>,
    responses: Map<String, Value>,
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (verb, operation) in item.as_object().expect("an item") {
            let content = operation["requestBody"]["content"].as_object().and_then(|content| content.iter().next());
            all.push(Operation {
                id: operation["operationId"].as_str().expect("an id").to_owned(),
                method: verb.to_uppercase().parse().expect("a method"),
                path: path.clone(),
                parameters: operation["parameters"].as_array().cloned().unwrap_or_default(),
                body: content.map(|(media, content)| (media.clone(), content["schema"].clone())),
                responses: operation["responses"].as_object().expect("responses").clone(),
            });
        }
    }
    all
}

/// What goes into a request: things that are there, or things that are not in order.
struct Maker<'a> {
    rng: StdRng,
    document: &'a Value,
    /// Ids that were told, by their prefix.
    ids: BTreeMap<String, Vec<String>>,
    cursors: Vec<String>,
    /// Nothing is out of order.
    is_orderly: bool,
}

impl Maker<'_> {
    /// Whether something is to be out of order, once in so many.
    fn errs(&mut self, once_in: u32) -> bool {
        !self.is_orderly && self.rng.random_range(0..once_in) == 0
    }

    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of.choose(&mut self.rng).expect("one of them")
    }

    fn odd(&mut self) -> String {
        match self.rng.random_range(0..30) {
            0 => "x".repeat(5_000),
            1 => "é".repeat(300),
            _ => self.one(&ODD).to_owned(),
        }
    }

    fn id(&mut self, prefix: &str) -> String {
        let known = self.ids.get(prefix).and_then(|ids| ids.choose(&mut self.rng)).cloned();
        if self.errs(4) {
            let unknown = format!("{prefix}_00000000000080008000000000000000");
            return if self.rng.random() { unknown } else { self.odd() };
        }
        known.unwrap_or_default()
    }

    /// A text for a field or a parameter of this name.
    fn word(&mut self, name: &str) -> String {
        if self.errs(8) {
            return self.odd();
        }
        let words: &[&str] = match name {
            "workflow" | "workflows" => &["ask", "echo", "anything"],
            "subject" | "subjects" => &["ada", "eve"],
            "tenant" | "tenants" => &["acme"],
            "status" => &["waiting", "running", "succeeded"],
            "state" => &["failed"],
            "role" => &["viewer", "operator", "admin"],
            "scopes" => &["read", "trigger"],
            "cron" => &["@yearly", "30 9 * * MON-FRI"],
            "zone" => &["Europe/Berlin", "UTC"],
            "overlap" => &["skip", "queue", "allow"],
            "url" => &["https://hooks.example/x"],
            "kinds" => &["run.*", "*", "human_task.opened"],
            "secrets" => &["s"],
            "filter" | "delivery_id" | "share" => &["'a' + 'b'"],
            "wait" => &["1ms", "20ms"],
            "kind" => &["answer"],
            "key" => &["k", "user:*"],
            "attributes" => &["{}", "{\"site\":\"acme\"}"],
            "created_from" | "created_before" | "until" | "from" => &["2026-11-21T00:00:00Z"],
            "order" => &["asc", "desc"],
            "parent" => return self.id("run"),
            "cursor" | "after" => return self.cursor(),
            _ => &["ask", "one", "two"],
        };
        self.one(words).to_owned()
    }

    fn cursor(&mut self) -> String {
        match self.cursors.choose(&mut self.rng) {
            Some(cursor) if self.rng.random() => cursor.clone(),
            _ => self.one(&CURSORS).to_owned(),
        }
    }

    fn number(&mut self, schema: &Value) -> Value {
        if self.errs(6) {
            let ends =
                [json!(-1), json!(0), json!(i32::MAX), json!(u32::MAX), json!(i64::MAX), json!(u64::MAX), json!(1.5)];
            return ends.choose(&mut self.rng).expect("one").clone();
        }
        let least = schema["minimum"].as_i64().unwrap_or(0).max(1);
        json!(least + self.rng.random_range(0..100))
    }

    /// Anything that a field without a schema may be.
    fn anything(&mut self) -> Value {
        let some = [json!({}), json!({ "text": "x" }), json!(7), json!("x"), json!([1, null]), json!({ "age": 1 })];
        some.choose(&mut self.rng).expect("one").clone()
    }

    fn value(&mut self, schema: &Value, name: &str, depth: usize) -> Value {
        if let Some(reference) = schema["$ref"].as_str() {
            let document = self.document;
            let target = document.pointer(reference.trim_start_matches('#')).expect("a schema");
            return self.value(target, name, depth);
        }
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        if let Some(one) = schema["enum"].as_array().and_then(|all| all.choose(&mut self.rng)) {
            return one.clone();
        }
        for several in ["oneOf", "anyOf"] {
            let Some(all) = schema[several].as_array() else { continue };
            let is_null = |one: &&Value| one["type"] == "null";
            let some: Vec<&Value> = all.iter().filter(|one| !is_null(one)).collect();
            let may_be_null = some.len() < all.len();
            return match some.choose(&mut self.rng) {
                Some(one) if depth < DEPTH_MAX && (!may_be_null || self.rng.random()) => {
                    let one = self.value(one, name, depth + 1);
                    merged(one, self.object(schema, depth))
                }
                _ => Value::Null,
            };
        }
        if let Some(all) = schema["allOf"].as_array() {
            return all.iter().fold(json!({}), |value, one| merged(value, self.value(one, name, depth + 1)));
        }
        let kinds: Vec<&str> = match &schema["type"] {
            Value::String(kind) => vec![kind],
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect(),
            _ => return self.anything(),
        };
        match kinds.choose(&mut self.rng) {
            Some(&"object") => self.object(schema, depth),
            Some(&"array") if depth < DEPTH_MAX => {
                let count = self.rng.random_range(1..3);
                (0..count).map(|_| self.value(&schema["items"], name, depth + 1)).collect()
            }
            Some(&"array") => json!([]),
            Some(&"string") if schema["format"] == "date-time" => {
                let most = if self.is_orderly { 2 } else { INSTANTS.len() };
                json!(self.one(&INSTANTS[..most]))
            }
            Some(&"string") => json!(self.word(name)),
            Some(&("integer" | "number")) => self.number(schema),
            Some(&"boolean") => json!(self.rng.random::<bool>()),
            _ => Value::Null,
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let Some(properties) = schema["properties"].as_object() else { return json!({}) };
        let required: BTreeSet<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut object = Map::new();
        for (name, property) in properties {
            let is_wanted = required.contains(name.as_str()) || depth < DEPTH_MAX && self.rng.random_range(0..3) == 0;
            if is_wanted && !self.errs(40) {
                object.insert(name.clone(), self.value(property, name, depth + 1));
            }
        }
        Value::Object(object)
    }

    /// Another value at one place.
    fn spoil(&mut self, value: &mut Value) {
        let below: Vec<String> = match value {
            Value::Object(object) => object.keys().cloned().collect(),
            Value::Array(list) => (0..list.len()).map(|at| at.to_string()).collect(),
            _ => Vec::new(),
        };
        if let Some(at) = below.choose(&mut self.rng)
            && self.rng.random_range(0..3) != 0
        {
            let inner = match value {
                Value::Object(object) => object.get_mut(at),
                Value::Array(list) => at.parse::<usize>().ok().and_then(|at| list.get_mut(at)),
                _ => None,
            };
            return self.spoil(inner.expect("it is there"));
        }
        if let Value::Object(object) = value
            && self.rng.random_range(0..3) == 0
        {
            if let Some(name) = below.choose(&mut self.rng)
                && self.rng.random()
            {
                object.remove(name);
            } else {
                let name = self.odd();
                object.insert(name, json!(1));
            }
            return;
        }
        *value = match self.rng.random_range(0..9) {
            0 => Value::Null,
            1 => json!(self.rng.random::<bool>()),
            2 => json!(self.odd()),
            3 => json!([]),
            4 => json!({ "$cel": self.odd() }),
            5 => json!(1e308),
            6 => json!(-9_007_199_254_740_993_i64),
            7 => json!(u64::MAX),
            _ => (0..40).fold(json!(1), |value, _| json!([value])),
        };
    }

    /// A body that is no JSON, or none that can be taken.
    fn raw(&mut self) -> Vec<u8> {
        match self.rng.random_range(0..8) {
            0 => Vec::new(),
            1 => b"{".to_vec(),
            2 => b"\xff\xfe{}".to_vec(),
            3 => b"{\"a\": 1e999}".to_vec(),
            4 => b"{\"reason\": \"\\ud800\"}".to_vec(),
            5 => vec![b'['; 200],
            6 => b"{\"input\": 1, \"input\": 2}".to_vec(),
            _ => b"{\"key\": 123456789012345678901234567890}".to_vec(),
        }
    }

    /// The path with all that is asked for in it, and its query.
    fn place(&mut self, operation: &Operation, things: &Things) -> String {
        // Well-known names first; ids are those that were told.
        let known = things.place(&operation.path);
        let known: Vec<&str> = known.split('?').next().unwrap_or_default().split('/').collect();
        let mut place = String::new();
        for (part, known) in operation.path.split('/').zip(known).skip(1) {
            let is_parameter = part.starts_with('{');
            let known = match part {
                "{tenant}" => "acme",
                "{version}" => "1",
                "{name}" if operation.path.starts_with("/api/v1/tenants/") => "acme",
                _ => known,
            };
            let prefix = known.split_once('_').map(|(prefix, _)| prefix).filter(|_| is_parameter && known.len() > 30);
            let text = match prefix {
                Some(prefix) => self.id(prefix),
                None if is_parameter && self.errs(4) => self.odd(),
                None if part == "{name}" && !self.is_orderly && self.rng.random_range(0..3) == 0 => self.word(part),
                None => known.to_owned(),
            };
            // Nothing at all would be the path of another operation.
            let text = if text.is_empty() { " ".to_owned() } else { text };
            let odd = if is_parameter && self.errs(40) { "%ff" } else { "" };
            let text = if is_parameter { utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string() } else { text };
            let _ = write!(place, "/{text}{odd}");
        }
        let mut mark = '?';
        let parameters: Vec<&Value> = operation.parameters.iter().filter(|one| one["in"] == "query").collect();
        for parameter in parameters {
            let name = parameter["name"].as_str().expect("a name");
            let is_required = parameter["required"] == true;
            // A cursor is for a list that was looked at before.
            let is_left = if is_required { self.errs(10) } else { self.is_orderly || self.rng.random_range(0..3) != 0 };
            if is_left && !(self.is_orderly && name == "version") {
                continue;
            }
            let schema = &parameter["schema"];
            let value = match name {
                "name" => "q".to_owned(),
                "version" => "1".to_owned(),
                _ => match self.value(schema, name, 0) {
                    Value::String(text) => text,
                    other => other.to_string(),
                },
            };
            let value = if self.errs(8) { self.odd() } else { value };
            let _ = write!(place, "{mark}{name}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC));
            mark = '&';
        }
        if self.errs(40) {
            let _ = write!(place, "{mark}nothing%zz=1&limit=1&limit=2");
        }
        place
    }

    fn call(&mut self, operation: &Operation, things: &Things, tokens: &[String]) -> Call {
        let mut call = Call::new(operation.method.clone(), self.place(operation, things));
        if let Some((media, schema)) = &operation.body {
            let body = match media.as_str() {
                "application/json" => {
                    let mut body = orderly(&operation.id).filter(|_| self.is_orderly || self.rng.random());
                    if body.is_none() {
                        body = Some(self.value(schema, "", 0));
                    }
                    let mut body = body.unwrap_or_default();
                    while self.errs(2) {
                        self.spoil(&mut body);
                    }
                    body.to_string().into_bytes()
                }
                _ => Vec::new(),
            };
            call = if media == "application/json" {
                call.body(body)
            } else {
                super::files::form(&[("file", Some("note.txt"), b"a note"), ("subject", None, b"ada")])
            };
            if self.errs(10) {
                call = call.body(self.raw());
            }
            if self.errs(20) {
                call = call.header("content-type", self.one(&["text/plain", "application/x-www-form-urlencoded", "é"]));
            }
        }
        if operation.id == "deliver" {
            call = call.header("x-api-key", "s");
        }
        if self.errs(4) {
            call = call.key(self.one(&["k", "l", "", "é"]));
        }
        if self.errs(10) {
            call = call.header("last-event-id", self.one(&["0", "1", "-1", "99999999999999999999", "x"]));
        }
        if self.errs(6)
            && let Some(token) = tokens.choose(&mut self.rng)
        {
            call = call.token(token);
        }
        if self.errs(60) {
            call = call.without(header::AUTHORIZATION);
        }
        call
    }

    /// Notes ids and cursors for later requests.
    fn learn(&mut self, answer: &Value) {
        match answer {
            Value::Object(object) => {
                for (name, value) in object {
                    match value.as_str() {
                        Some(cursor) if name == "next_cursor" => self.cursors.push(cursor.to_owned()),
                        Some(id) if name == "id" => self.learn_id(id),
                        _ => self.learn(value),
                    }
                }
            }
            Value::Array(list) => list.iter().for_each(|value| self.learn(value)),
            _ => {}
        }
    }

    fn learn_id(&mut self, id: &str) {
        let Some((prefix, _)) = id.split_once('_') else { return };
        let known = self.ids.entry(prefix.to_owned()).or_default();
        if known.len() < 200 && !known.iter().any(|known| known == id) {
            known.push(id.to_owned());
        }
    }
}

/// Bodies of which a schema does not tell enough.
fn orderly(operation: &str) -> Option<Value> {
    Some(match operation {
        "start_run" => json!({ "input": {} }),
        "start_runs" => json!({ "runs": [{ "input": {} }, { "input": 7 }] }),
        "register_workflow" => json!({ "tasks": { "a": { "step": "s" } } }),
        "create_bulk_operation" => json!({ "action": "cancel", "filter": { "workflow": "nothing" } }),
        "put_schedule" => json!({ "workflow": "ask", "cron": "@yearly", "run": { "input": {} } }),
        "backfill_schedule" => json!({ "from": "2020-12-31T00:00:00Z", "until": "2021-01-02T00:00:00Z" }),
        "trigger_schedule" | "deliver" => json!({}),
        "put_event_trigger" => json!({ "key": "*", "workflow": "ask" }),
        "put_incoming_webhook" => {
            json!({ "proof": { "kind": "api_key", "secrets": ["s"] }, "start": { "workflow": "ask" } })
        }
        "put_outgoing_webhook" => json!({ "url": "https://hooks.example/x", "kinds": ["*"] }),
        "put_limit" => json!({ "workflow": "ask", "most": 5 }),
        "cool_limit_key" => json!({ "key": "" }),
        "put_rule" => json!({ "percent": 50 }),
        "put_item" => json!({ "kind": "answer", "name": "q", "value": "42" }),
        "answer_task" => json!({ "answer": { "age": 7 } }),
        "complete" => json!({ "output": 7 }),
        "fork_run" => json!({ "entry": 0 }),
        _ => return None,
    })
}

fn merged(mut into: Value, other: Value) -> Value {
    if let (Some(into), Value::Object(other)) = (into.as_object_mut(), other) {
        into.extend(other);
    }
    into
}

/// What is wrong with an answer.
struct Judge<'a> {
    document: &'a Value,
    validators: HashMap<String, Validator>,
}

impl Judge<'_> {
    fn fault(&mut self, operation: &Operation, sent: &[u8], answer: &Answer) -> Option<String> {
        let status = answer.status.to_string();
        let media = answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().to_owned();
        let read = serde_json::from_slice::<Value>(&answer.bytes).ok();
        let code = read.as_ref().and_then(|body| body["code"].as_str()).unwrap_or_default().to_owned();
        // The only one that says what somebody asked for.
        if answer.status >= 500 && code != "webhook_paused" {
            return Some(format!("{status} {code}"));
        }
        let Some(response) = operation.responses.get(&status) else {
            return Some(format!("{status} {code} is not in the document"));
        };
        if answer.status >= 400 {
            let known = PROBLEM_CODES.iter().any(|(known, all, _)| *known == code && all.contains(&answer.status));
            if !known || media != "application/problem+json" {
                return Some(format!("{status} {code} as {media} is not in the catalogue"));
            }
        }
        let body = operation.body.as_ref().filter(|_| answer.status < 300);
        if let Some((_, schema)) = body.filter(|(media, _)| media == "application/json")
            && let Ok(sent) = serde_json::from_slice(sent)
            && !self.validator(schema).is_valid(&sent)
            && operation.id != REFUSES_PARTS
        {
            return Some(format!("{status} for a body that the document does not know"));
        }
        let schema = match response["content"].as_object() {
            None if answer.bytes.is_empty() => return None,
            None => return Some(format!("{status} has a body of which the document does not know")),
            Some(content) if media == "text/event-stream" || read.is_none() => {
                let is_known = content.keys().any(|known| *known == media || known.contains("octet-stream"));
                return (!is_known).then(|| format!("{status} is {media}, not {:?}", content.keys()));
            }
            Some(content) => content.get(&media).map(|content| &content["schema"]),
        };
        let Some(schema) = schema else {
            return Some(format!("{status} is {media}, of which the document does not know"));
        };
        let faults = self.validator(schema).iter_errors(&read?).map(|error| error.to_string()).collect::<Vec<_>>();
        (!faults.is_empty()).then(|| format!("{status} does not fit its schema: {faults:?}"))
    }

    fn validator(&mut self, schema: &Value) -> &Validator {
        let document = self.document;
        self.validators.entry(schema.to_string()).or_insert_with(|| {
            let mut whole = schema.clone();
            whole["components"] = document["components"].clone();
            jsonschema::validator_for(&whole).expect("a schema")
        })
    }
}

async fn asked(app: &TestApp, call: Call) -> Answer {
    let (parts, body) = app.open(call.into_request()).await.into_parts();
    let is_stream = parts.headers.get(header::CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"text/event"));
    // A stream has no end.
    let bytes = if is_stream { Vec::new() } else { to_bytes(body, 64 << 20).await.expect("a whole body").to_vec() };
    Answer { status: parts.status.as_u16(), headers: parts.headers, bytes }
}

#[tokio::test]
async fn whatever_is_asked_the_answer_is_one_that_the_document_names() {
    let seed = std::env::var("VALET_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    println!("seed {seed}");
    let unlimited = Rate { per_s: 0, burst: TOKEN_BURST };
    let limits = Limits { token: unlimited, tenant: unlimited, tenant_streams: EVENT_STREAMS_MAX };
    let app = TestApp::limited(limits).await;
    let things = Things::make(&app).await;
    let mut tokens = vec![OTHER_TENANT.to_owned(), WORKER.to_owned(), "vt_guessed".to_owned()];
    let reaches = [json!({}), json!({ "workflows": ["ask"] }), json!({ "subjects": ["eve"] })];
    for (n, reach) in reaches.into_iter().enumerate() {
        let body = merged(json!({ "name": format!("t{n}"), "role": if n == 0 { "viewer" } else { "admin" } }), reach);
        tokens.push(secret(&app, &body).await);
    }
    let document = app.send(Call::get("/api/v1/openapi.json")).await.expect(200).json();
    let mut all = operations(&document);
    let mut judge = Judge { document: &document, validators: HashMap::new() };
    let rng = StdRng::seed_from_u64(seed);
    let mut maker = Maker { rng, document: &document, ids: BTreeMap::new(), cursors: Vec::new(), is_orderly: true };
    for id in [&things.bulk, &things.event, &things.run, &things.task, &things.file, &things.token] {
        maker.learn_id(id);
    }
    let mut faults: BTreeMap<String, String> = BTreeMap::new();
    let mut done: BTreeSet<String> = BTreeSet::new();
    let (mut sent, began) = (0, Instant::now());
    for round in 0..ORDERLY_ROUNDS + UNRULY_ROUNDS {
        if round > ORDERLY_ROUNDS && began.elapsed() > ROUNDS_MOST {
            break;
        }
        maker.is_orderly = round < ORDERLY_ROUNDS;
        all.shuffle(&mut maker.rng);
        if maker.is_orderly {
            // First of all they are used.
            all.sort_by_key(|operation| operation.method == Method::DELETE || operation.id == "erase_subject");
        }
        for operation in &all {
            let mut call = maker.call(operation, &things, &tokens);
            if maker.is_orderly {
                call = prepared(&app, operation, call, &tokens).await;
            }
            let shown = format!("{} {} {}", call.method, call.path, String::from_utf8_lossy(call.sent()));
            let body = call.sent().to_vec();
            let answer = asked(&app, call).await;
            sent += 1;
            if answer.status < 300 {
                done.insert(operation.id.clone());
                maker.learn(&serde_json::from_slice(&answer.bytes).unwrap_or_default());
            }
            if let Some(fault) = judge.fault(operation, &body, &answer) {
                let told: String = String::from_utf8_lossy(&answer.bytes).chars().take(400).collect();
                let shown: String = shown.chars().take(400).collect();
                faults.entry(format!("{}: {fault}", operation.id)).or_insert(format!("{shown}\n      {told}"));
            }
        }
    }
    println!("{sent} requests in {:?}", began.elapsed());
    let list = faults.iter().fold(String::new(), |list, (fault, call)| list + "\n  " + fault + "\n      " + call);
    assert!(faults.is_empty(), "seed {seed}:{list}");
    let never: Vec<&str> = all.iter().map(|one| one.id.as_str()).filter(|id| !done.contains(*id)).collect();
    let unexpected: Vec<&&str> = never.iter().filter(|id| !NEVER_DONE.contains(id)).collect();
    assert!(unexpected.is_empty(), "seed {seed}: these never did what they are for: {unexpected:?}");
}

/// The call, of something that was made for it.
async fn prepared(app: &TestApp, operation: &Operation, mut call: Call, tokens: &[String]) -> Call {
    match operation.id.as_str() {
        "complete" => {
            let run = app.start_run("callback", &json!({})).await;
            let run = app.run(&run).await;
            call.path = format!("/api/v1/completions/{}", run["memo"]["token"].as_str().expect("a token"));
        }
        "skip_step" | "edit_step" => {
            let run = app.start_run("echo", &json!({ "text": "x" })).await;
            let verb = operation.path.rsplit('/').next().unwrap_or_default();
            call.path = format!("/api/v1/runs/{run}/steps/1/{verb}");
        }
        "pause_worker" => {
            let worker = Worker::open(app).await;
            call.path = format!("/api/v1/workers/{}/pause", worker.session);
        }
        "open_session" => call = call.json(&json!({ "token": tokens.last().expect("a token") })),
        _ => {}
    }
    call
}
