//! A provider that says what it was told to, for tests of whatever stands on the port.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;

use crate::usage::estimate_input;
use crate::{Completion, Delta, DeltaStream, Error, Finish, Phase, Provider, Request, Usage, collect};

/// One line of the script: what happens to one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    delay: Duration,
    pieces: Vec<String>,
    ending: Ending,
}

#[derive(Debug, Clone, PartialEq)]
enum Ending {
    Whole {
        finish: Finish,
        usage: Option<Usage>,
        rest: Option<Duration>,
    },
    /// Instead of an answer.
    Refuse(Error),
    /// After the pieces.
    Break(Error),
}

impl Line {
    /// A whole answer; its usage is estimated.
    pub fn answer(text: impl Into<String>) -> Self {
        Self::pieces([text.into()])
    }

    /// A whole answer that is streamed in these pieces.
    pub fn pieces<T: Into<String>>(pieces: impl IntoIterator<Item = T>) -> Self {
        Self {
            delay: Duration::ZERO,
            pieces: pieces.into_iter().map(Into::into).filter(|piece: &String| !piece.is_empty()).collect(),
            ending: Ending::Whole { finish: Finish::Stop, usage: None, rest: None },
        }
    }

    /// A failure instead of an answer.
    pub fn fail(error: Error) -> Self {
        Self { ending: Ending::Refuse(error), ..Self::answer("") }
    }

    /// A stream that breaks after these pieces; a plain request sees only the error.
    pub fn cut<T: Into<String>>(pieces: impl IntoIterator<Item = T>, error: Error) -> Self {
        Self { ending: Ending::Break(error), ..Self::pieces(pieces) }
    }

    /// The same, after a delay (which follows tokio's paused time, and the request's timeout).
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The same whole answer with this reason to end.
    #[must_use]
    pub fn finish(mut self, reason: Finish) -> Self {
        if let Ending::Whole { finish, .. } = &mut self.ending {
            *finish = reason;
        }
        self
    }

    /// The same whole answer, after which the provider wants to be left alone this long.
    #[must_use]
    pub fn rest(mut self, wait: Duration) -> Self {
        if let Ending::Whole { rest, .. } = &mut self.ending {
            *rest = Some(wait);
        }
        self
    }

    /// The same whole answer with this usage.
    #[must_use]
    pub fn usage(mut self, counted: Usage) -> Self {
        if let Ending::Whole { usage, .. } = &mut self.ending {
            *usage = Some(counted);
        }
        self
    }
}

/// A provider that follows a script and remembers what it was asked. At the script's end it is unreachable.
#[derive(Debug)]
pub struct Scripted {
    name: String,
    lines: Mutex<VecDeque<Line>>,
    seen: Mutex<Vec<Request>>,
}

impl Scripted {
    /// A provider of this name that follows these lines, one for each request.
    pub fn new(name: impl Into<String>, lines: impl IntoIterator<Item = Line>) -> Self {
        let lines = Mutex::new(lines.into_iter().collect());
        Self { name: name.into(), lines, seen: Mutex::default() }
    }

    /// The requests seen so far, oldest first.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many lines are left.
    pub fn left(&self) -> usize {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    async fn next_line(&self, request: &Request) -> Result<Line, Error> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        let line = self.lines.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let line = line.ok_or_else(|| Error::Unreachable {
            provider: self.name.clone(),
            message: "the script has no line left".to_owned(),
        })?;
        let wait = tidemill_chassis::sleep(line.delay);
        tokio::time::timeout(request.timeout, wait).await.map_err(|_| Error::Timeout {
            provider: self.name.clone(),
            phase: Phase::Whole,
            limit: request.timeout,
            usage: Usage::estimate(estimate_input(request), ""),
        })?;
        Ok(line)
    }
}

#[async_trait]
impl Provider for Scripted {
    fn name(&self) -> &str {
        &self.name
    }

    async fn complete(&self, request: &Request) -> Result<Completion, Error> {
        collect(&self.name, self.stream(request).await?).await
    }

    async fn stream(&self, request: &Request) -> Result<DeltaStream, Error> {
        let line = self.next_line(request).await?;
        let last = match line.ending {
            Ending::Refuse(error) => return Err(error),
            Ending::Break(error) => Err(error),
            Ending::Whole { finish, usage, rest } => {
                let model = request.model.clone().unwrap_or_else(|| "scripted".to_owned());
                let estimate = || Usage::estimate(estimate_input(request), &line.pieces.concat());
                Ok(Delta::Done { model, finish, usage: usage.unwrap_or_else(estimate), rest })
            }
        };
        let pieces = line.pieces.into_iter().map(|piece| Ok(Delta::Text(piece)));
        Ok(futures::stream::iter(pieces.chain([last])).boxed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut() -> Error {
        Error::Cut { provider: "s".into(), message: "snap".into(), usage: Usage::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn the_script_is_followed_line_by_line_and_requests_are_kept() {
        let counted = Usage { input: 1, output: 2, ..Usage::default() };
        let lines = [
            Line::pieces(["He", "llo"]).usage(counted).finish(Finish::Length),
            Line::cut(["half"], cut()),
            Line::answer("late").after(Duration::from_secs(61)),
        ];
        let provider = Scripted::new("s", lines);
        let answer = provider.complete(&Request::of("one")).await.unwrap();
        assert_eq!((answer.text.as_str(), answer.usage, answer.finish), ("Hello", counted, Finish::Length));

        let items: Vec<_> = provider.stream(&Request::of("two")).await.unwrap().collect().await;
        assert_eq!(items, [Ok(Delta::Text("half".into())), Err(cut())]);

        let late = provider.complete(&Request::of("three")).await;
        assert!(matches!(late, Err(Error::Timeout { phase: Phase::Whole, .. })), "{late:?}");
        let ended = provider.complete(&Request::of("four")).await;
        assert!(matches!(ended, Err(Error::Unreachable { .. })), "{ended:?}");
        let asked: Vec<_> = provider.seen().iter().map(|seen| seen.messages[0].content.clone()).collect();
        assert_eq!(asked, ["one", "two", "three", "four"]);
        assert_eq!(provider.left(), 0);
    }
}
