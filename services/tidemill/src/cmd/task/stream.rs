//! Tasks of a file or of standard input, one JSON object a line, streamed: a thread reads, a bounded channel keeps it in step
//! with the mesh.
//!
//! A task without a key of its own gets one made of its line and where that stands. So a command that was cut off is given
//! again: what was stored is known by its key, and the rest goes on.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tidemill_proto::scheduling::v1::SubmitTaskStreamRequest;
use tidemill_proto::types::v1::NewTask;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::client::Client;
use crate::cmd::push::unreadable;
use crate::exit::{self, Exit, Hint};
use crate::output;

/// Tasks that are read ahead of the connection.
const AHEAD: usize = 64;
/// The longest line, in bytes: a payload of the largest size, escaped.
const LONGEST: u64 = 2 << 20;
/// The most faults that are told one by one.
const TOLD: u64 = 50;

/// What became of the lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
struct Tally {
    stored: u64,
    duplicates: u64,
    refused: u64,
}

/// Submits what a file says; `-` is standard input.
pub(super) async fn submit(path: PathBuf, json: bool, client: &Client) -> Result<Exit> {
    tokio::select! {
        sent = Box::pin(send(&path, json, client)) => sent,
        _ = tokio::signal::ctrl_c() => {
            output::note("\nstopped; what was acknowledged is queued, and the same command sends the rest");
            Ok(Exit::Interrupted)
        }
    }
}

async fn send(path: &Path, json: bool, client: &Client) -> Result<Exit> {
    let name = path.display().to_string();
    let input: Box<dyn BufRead + Send> = if path == Path::new("-") {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = File::open(path).map_err(|fault| unreadable(&fault)).context(name.clone())?;
        Box::new(BufReader::with_capacity(1 << 18, file))
    };
    let (requests, stream) = mpsc::channel(AHEAD);
    let (end, ended) = oneshot::channel();
    let reader = {
        let name = name.clone();
        move || {
            // The receiver is gone when the stream was cut off.
            let _ = end.send(read(input, &name, &requests));
        }
    };
    // Not a task of the runtime: that would wait at its end for a read of a pipe that nobody writes to.
    std::thread::Builder::new().name("reader".to_owned()).spawn(reader).context("cannot start a thread")?;
    let mut tally = Tally::default();
    let outcome = receive(client, stream, &name, &mut tally).await;
    match outcome {
        Ok(()) => {
            tally.refused += ended.await.context("the reader ended before its input did; submit again")??
        }
        Err(status) => {
            print(&name, &tally, false, json)?;
            let fault = anyhow::Error::from(status).context("the stream was cut off");
            let hint = || Hint("what was acknowledged is queued; the same command sends the rest".to_owned());
            return Err(if exit::passes(&fault) { fault.context(hint()) } else { fault });
        }
    }
    print(&name, &tally, true, json)?;
    Ok(if tally.refused > 0 { Exit::Refused } else { Exit::Done })
}

/// Sends what is read, and notes what the mesh says of it.
async fn receive(
    client: &Client,
    stream: mpsc::Receiver<SubmitTaskStreamRequest>,
    name: &str,
    tally: &mut Tally,
) -> Result<(), Status> {
    let mut queue = client.scheduling();
    let mut answers = queue.submit_task_stream(ReceiverStream::new(stream)).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        (tally.stored, tally.duplicates) = (answer.stored, answer.duplicates);
        for rejection in answer.rejections {
            let (field, description) = (&rejection.field, &rejection.description);
            complain(tally.refused, &format!("{name}:{}: {field} {description}", rejection.sequence));
            tally.refused += 1;
        }
    }
    Ok(())
}

/// Reads the lines; how many were no tasks. The number of a line is its sequence number.
fn read(mut input: impl BufRead, name: &str, to: &mpsc::Sender<SubmitTaskStreamRequest>) -> Result<u64> {
    let (mut line, mut sequence, mut refused) = (Vec::new(), 0, 0);
    loop {
        line.clear();
        let count = io::Read::take(&mut input, LONGEST).read_until(b'\n', &mut line);
        if count.map_err(|fault| anyhow!("{name}: cannot be read: {fault}"))? == 0 {
            return Ok(refused);
        }
        sequence += 1;
        if line.len() as u64 == LONGEST && !line.ends_with(b"\n") {
            return Err(anyhow!(
                "{name}:{sequence}: has more than {LONGEST} bytes; a task is one line of JSON"
            ));
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        match parse(text, sequence) {
            Ok(task) => {
                if to.blocking_send(SubmitTaskStreamRequest { sequence, task: Some(task) }).is_err() {
                    return Ok(refused);
                }
            }
            Err(fault) => {
                complain(refused, &format!("{name}:{sequence}: {fault}"));
                refused += 1;
            }
        }
    }
}

/// The task of a line. A payload may be any JSON; what is no text is sent as the text of it.
fn parse(line: &[u8], number: u64) -> Result<NewTask> {
    let mut value: Value = serde_json::from_slice(line).map_err(|fault| anyhow!("is no JSON: {fault}"))?;
    if let Some(payload) = value.get_mut("payload").filter(|payload| !payload.is_string()) {
        *payload = Value::String(payload.to_string());
    }
    let mut task: NewTask = serde_json::from_value(value).map_err(|fault| anyhow!("is no task: {fault}"))?;
    if task.key.is_empty() {
        task.key = key(line, number);
    }
    Ok(task)
}

/// The key of a line: the same whenever the file is read again.
fn key(line: &[u8], number: u64) -> String {
    let digest = Sha256::new().chain_update(number.to_be_bytes()).chain_update(line).finalize();
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("line:{hex}")
}

fn complain(before: u64, text: &str) {
    match before {
        told if told < TOLD => output::note(&output::short(text, 600)),
        TOLD => output::note("more faults are not told one by one"),
        _ => {}
    }
}

fn print(name: &str, tally: &Tally, complete: bool, json: bool) -> Result<()> {
    if json {
        let mut value = serde_json::to_value(tally)?;
        (value["path"], value["complete"]) = (name.into(), complete.into());
        return output::json_lines(&[value]);
    }
    let Tally { stored, duplicates, refused } = tally;
    let cut = if complete { "" } else { "; cut off" };
    output::line(&format!("{name}: {stored} queued, {duplicates} known already, {refused} refused{cut}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_task_whose_key_tells_the_line_and_its_place() {
        let task =
            parse(br#"{"kind": "resize", "payload": {"image": 17}, "priority": "PRIORITY_BACKGROUND"}"#, 3)
                .unwrap();
        assert_eq!(
            (task.kind.as_str(), task.payload.as_str(), task.priority),
            ("resize", r#"{"image":17}"#, 3)
        );
        let same = parse(br#"{"kind": "noop"}"#, 1).unwrap();
        assert_eq!(same.key, parse(br#"{"kind": "noop"}"#, 1).unwrap().key);
        assert_ne!(same.key, parse(br#"{"kind": "noop"}"#, 2).unwrap().key);
        assert_eq!(parse(br#"{"kind": "noop", "key": "own"}"#, 1).unwrap().key, "own");
        for wrong in ["{", "[]", r#"{"kinds": "noop"}"#] {
            assert!(parse(wrong.as_bytes(), 1).is_err(), "{wrong}");
        }
    }

    #[test]
    fn empty_lines_are_passed_over_and_faults_are_counted() {
        let (to, mut sent) = mpsc::channel(8);
        let input = "{\"kind\": \"a\"}\n\nno\n{\"kind\": \"b\"}".as_bytes();
        assert_eq!(read(input, "tasks.jsonl", &to).unwrap(), 1);
        drop(to);
        let mut kinds = Vec::new();
        while let Ok(request) = sent.try_recv() {
            kinds.push((request.sequence, request.task.unwrap().kind));
        }
        assert_eq!(kinds, [(1, "a".to_owned()), (4, "b".to_owned())]);
    }
}
