//! The handshake and commands about the server itself.

use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Document, doc};

use super::{Call, Reply, fields};
use crate::bytes::DOCUMENT_BYTES_MAX;
use crate::error::{CommandError, CommandResult};
use crate::wire::MESSAGE_BYTES_MAX;

/// Wire version of MongoDB 8.0.
const WIRE_VERSION_MAX: i32 = 25;
/// The MongoDB version whose commands and semantics are answered.
const VERSION: &str = "8.0.0";
const SET_NAME: &str = "docstore";
const WRITE_BATCH_MAX: i32 = 100_000;
const SESSION_MINUTES: i32 = 30;

fn handshake(call: &Call<'_>, primary: &str) -> Document {
    let host = call.shared.host.as_str();
    let mut reply = doc! {
        primary: true,
        "helloOk": true,
        "setName": SET_NAME,
        "setVersion": 1,
        "secondary": false,
        "hosts": [host],
        "primary": host,
        "me": host,
        "electionId": ObjectId::from_bytes([0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 1]),
        "lastWrite": {
            "opTime": { "ts": call.shared.store.current_time(), "t": 1_i64 },
            "lastWriteDate": DateTime::now(),
        },
        "maxBsonObjectSize": DOCUMENT_BYTES_MAX as i32,
        "maxMessageSizeBytes": MESSAGE_BYTES_MAX as i32,
        "maxWriteBatchSize": WRITE_BATCH_MAX,
        "localTime": DateTime::now(),
        "logicalSessionTimeoutMinutes": SESSION_MINUTES,
        "connectionId": call.connection as i32,
        "minWireVersion": 0,
        "maxWireVersion": WIRE_VERSION_MAX,
        "readOnly": false,
    };
    if primary == "isWritablePrimary" {
        reply.insert("topologyVersion", Bson::Null);
        // Without a topology version drivers poll instead of streaming.
        reply.remove("topologyVersion");
    }
    reply
}

pub fn hello(call: &mut Call<'_>) -> CommandResult<Reply> {
    Ok(handshake(call, "isWritablePrimary").into())
}

pub fn is_master(call: &mut Call<'_>) -> CommandResult<Reply> {
    Ok(handshake(call, "ismaster").into())
}

pub fn ping(_: &mut Call<'_>) -> CommandResult<Reply> {
    Ok(Document::new().into())
}

pub fn build_info(_: &mut Call<'_>) -> CommandResult<Reply> {
    Ok(doc! {
        "version": VERSION,
        "gitVersion": "docstore",
        "modules": [],
        "allocator": "system",
        "javascriptEngine": "none",
        "sysInfo": "deprecated",
        "versionArray": [8, 0, 0, 0],
        "openssl": { "running": "disabled", "compiled": "disabled" },
        "bits": 64,
        "debug": cfg!(debug_assertions),
        "maxBsonObjectSize": DOCUMENT_BYTES_MAX as i32,
        "storageEngines": ["docstore"],
    }
    .into())
}

pub fn server_status(call: &mut Call<'_>) -> CommandResult<Reply> {
    let shared = call.shared;
    let uptime = shared.started.elapsed();
    Ok(doc! {
        "host": &shared.host,
        "version": VERSION,
        "process": "docstore",
        "pid": i64::from(std::process::id()),
        "uptime": uptime.as_secs_f64(),
        "uptimeMillis": uptime.as_millis() as i64,
        "localTime": DateTime::now(),
        "connections": {
            "current": shared.connection_count() as i32,
            "available": (shared.options.connections_max.saturating_sub(shared.connection_count())) as i32,
            "totalCreated": shared.accepted.load(Ordering::Relaxed) as i64,
        },
        "metrics": { "cursor": { "open": { "total": shared.cursors.len() as i64 } } },
        "network": { "numRequests": shared.commands.load(Ordering::Relaxed) as i64 },
        "storageEngine": { "name": "docstore", "persistent": true, "supportsCommittedReads": true },
        "repl": { "setName": SET_NAME, "ismaster": true, "me": &shared.host },
    }
    .into())
}

pub fn connection_status(_: &mut Call<'_>) -> CommandResult<Reply> {
    Ok(doc! { "authInfo": { "authenticatedUsers": [], "authenticatedUserRoles": [], "authenticatedUserPrivileges": [] } }.into())
}

fn parameters() -> Document {
    doc! {
        "featureCompatibilityVersion": { "version": "8.0" },
        "enableTestCommands": false,
        "maxBSONDepth": crate::bytes::DEPTH_MAX as i32,
        "authenticationMechanisms": [],
    }
}

pub fn get_parameter(call: &mut Call<'_>) -> CommandResult<Reply> {
    let known = parameters();
    if matches!(call.body.get("getParameter"), Some(Bson::String(star)) if star == "*") {
        return Ok(known.into());
    }
    let mut found = Document::new();
    for (name, value) in known {
        if call.body.contains_key(&name) {
            found.insert(name, value);
        }
    }
    if found.is_empty() {
        return Err(CommandError::new(crate::error::code::INVALID_OPTIONS, "no option found to get"));
    }
    Ok(found.into())
}

pub fn get_command_line(_: &mut Call<'_>) -> CommandResult<Reply> {
    Ok(doc! { "argv": [], "parsed": {} }.into())
}

pub fn get_log(call: &mut Call<'_>) -> CommandResult<Reply> {
    if matches!(call.body.get("getLog"), Some(Bson::String(star)) if star == "*") {
        return Ok(doc! { "names": ["global", "startupWarnings"] }.into());
    }
    Ok(doc! { "totalLinesWritten": 0, "log": [] }.into())
}

pub fn host_info(call: &mut Call<'_>) -> CommandResult<Reply> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as i32);
    Ok(doc! {
        "system": {
            "currentTime": DateTime::now(), "hostname": &call.shared.host, "cpuAddrSize": 64, "numCores": cores,
            "cpuArch": std::env::consts::ARCH,
        },
        "os": { "type": std::env::consts::OS, "name": std::env::consts::OS, "version": "" },
        "extra": {},
    }
    .into())
}

pub fn whats_my_uri(call: &mut Call<'_>) -> CommandResult<Reply> {
    Ok(doc! { "you": format!("connection:{}", call.connection) }.into())
}

pub fn list_commands(_: &mut Call<'_>) -> CommandResult<Reply> {
    let mut commands = Document::new();
    for name in super::names() {
        commands.insert(name, doc! { "help": "", "requiresAuth": false, "adminOnly": false });
    }
    Ok(doc! { "commands": commands }.into())
}

pub fn features(_: &mut Call<'_>) -> CommandResult<Reply> {
    Ok(doc! { "js": false, "oidMachine": 0 }.into())
}

pub fn replica_set_status(call: &mut Call<'_>) -> CommandResult<Reply> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs() as i64);
    Ok(doc! {
        "set": SET_NAME,
        "date": DateTime::from_millis(seconds * 1000),
        "myState": 1,
        "term": 1_i64,
        "members": [{
            "_id": 0, "name": &call.shared.host, "health": 1.0, "state": 1, "stateStr": "PRIMARY",
            "uptime": call.shared.started.elapsed().as_secs() as i32, "self": true,
        }],
    }
    .into())
}

pub fn free_monitoring(_: &mut Call<'_>) -> CommandResult<Reply> {
    Ok(doc! { "state": "disabled" }.into())
}

pub fn current_op(_: &mut Call<'_>) -> CommandResult<Reply> {
    Ok(doc! { "inprog": [] }.into())
}

pub fn kill_op(_: &mut Call<'_>) -> CommandResult<Reply> {
    Ok(doc! { "info": "attempting to kill op" }.into())
}

pub fn start_session(_: &mut Call<'_>) -> CommandResult<Reply> {
    let id = Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: crate::random_uuid().to_vec() });
    Ok(doc! { "id": { "id": id }, "timeoutMinutes": SESSION_MINUTES }.into())
}

fn listed_sessions(call: &Call<'_>) -> CommandResult<Vec<Vec<u8>>> {
    let Some((name, value)) = call.body.iter().next() else { return Ok(Vec::new()) };
    let Bson::Array(items) = value else {
        return Err(fields::wrong_type(name, name, value, "array"));
    };
    items
        .iter()
        .map(|item| match item {
            Bson::Document(lsid) => super::session_key(lsid),
            other => Err(fields::wrong_type(name, name, other, "object")),
        })
        .collect()
}

pub fn end_sessions(call: &mut Call<'_>) -> CommandResult<Reply> {
    end_sessions_by_id(call)
}

pub fn end_sessions_by_id(call: &mut Call<'_>) -> CommandResult<Reply> {
    let ids = listed_sessions(call)?;
    for id in &ids {
        call.shared.sessions.end(id);
    }
    call.shared.cursors.kill_where(|cursor| cursor.owner.0.as_ref().is_some_and(|owner| ids.contains(owner)));
    super::forget_retryable(call.shared, &ids);
    Ok(Document::new().into())
}

pub fn kill_all_sessions(call: &mut Call<'_>) -> CommandResult<Reply> {
    let ids = call.shared.sessions.ids();
    for id in &ids {
        if call.session.as_ref() != Some(id) {
            call.shared.sessions.end(id);
        }
    }
    call.shared.cursors.kill_where(|cursor| cursor.owner.0.is_some());
    Ok(Document::new().into())
}

pub fn refresh_sessions(call: &mut Call<'_>) -> CommandResult<Reply> {
    for id in listed_sessions(call)? {
        call.shared.sessions.get(&id)?;
    }
    Ok(Document::new().into())
}
