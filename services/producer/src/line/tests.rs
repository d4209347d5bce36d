//! Random histories of callers, a mesh and cuts: everybody is answered, and truly.

use std::collections::HashMap;
use std::task::Waker;

use proptest::prelude::*;

use super::*;

/// What happens next.
#[derive(Debug, Clone, Copy)]
enum Step {
    Submit {
        has_key: bool,
    },
    /// The connection takes a task.
    Take,
    /// The mesh stores up to so many of those that it was sent and says so, refusing every fifth.
    Acknowledge(usize),
    /// The stream breaks after the mesh has stored so many of those that it did not acknowledge.
    Cut {
        stored: usize,
    },
    /// The mesh ends the stream and says that it has stored nothing else.
    End,
    GiveUp,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<bool>().prop_map(|has_key| Step::Submit { has_key }),
        6 => Just(Step::Take),
        3 => (0..6_usize).prop_map(Step::Acknowledge),
        1 => (0..6_usize).prop_map(|stored| Step::Cut { stored }),
        1 => Just(Step::End),
        1 => Just(Step::GiveUp),
    ]
}

type Answer = oneshot::Receiver<Result<SubmittedTask, Error>>;

struct World {
    line: Line,
    orders: Option<mpsc::UnboundedSender<Order>>,
    stream: u64,
    /// What came over the stream and was not acknowledged.
    came: VecDeque<SubmitTaskStreamRequest>,
    /// How often each task was made.
    made: HashMap<String, u32>,
    callers: Vec<(NewTask, Answer)>,
}

impl World {
    fn new() -> Self {
        let (orders, ordered) = mpsc::unbounded_channel();
        let mut line = Line::new(ordered);
        let stream = line.begin();
        let (made, callers) = (HashMap::new(), Vec::new());
        Self { line, orders: Some(orders), stream, came: VecDeque::new(), made, callers }
    }

    fn submit(&mut self, has_key: bool) {
        let payload = format!("{}", self.callers.len());
        let key = if has_key { format!("k{payload}") } else { String::new() };
        let task = NewTask { payload, key, ..NewTask::default() };
        let (answer, answered) = oneshot::channel();
        self.callers.push((task.clone(), answered));
        assert!(self.orders.as_ref().unwrap().send(Order { task, answer }).is_ok());
    }

    fn take(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        match self.line.poll_next(self.stream, &mut context) {
            Poll::Ready(Some(request)) => {
                self.came.push_back(request);
                true
            }
            Poll::Ready(None) | Poll::Pending => false,
        }
    }

    /// The mesh makes a task, once by its key.
    fn make(&mut self, task: &NewTask) {
        let count = self.made.entry(task.payload.clone()).or_default();
        *count = if task.key.is_empty() { *count + 1 } else { 1 };
    }

    fn acknowledge(&mut self, count: usize) {
        let mut answer = SubmitTaskStreamResponse::default();
        for request in self.came.drain(..count.min(self.came.len())).collect::<Vec<_>>() {
            let task = request.task.unwrap();
            answer.acknowledged = request.sequence;
            if task.payload.ends_with('5') {
                let rejection = tidemill_proto::scheduling::v1::RejectedTask {
                    sequence: request.sequence,
                    ..Default::default()
                };
                answer.rejections.push(rejection);
            } else {
                self.make(&task);
                answer.tasks.push(SubmittedTask { id: task.payload, duplicate: false });
            }
        }
        self.line.acknowledge(answer);
    }

    fn cut(&mut self, stored: usize) {
        for request in std::mem::take(&mut self.came).into_iter().take(stored) {
            let task = request.task.unwrap();
            if !task.payload.ends_with('5') {
                self.make(&task);
            }
        }
        self.line.cut(&Status::unavailable("cut"), false);
        self.stream = self.line.begin();
    }

    fn end(&mut self) {
        self.line.acknowledge(SubmitTaskStreamResponse { r#final: true, ..Default::default() });
        self.cut(0);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Submit { has_key } => self.submit(has_key),
            Step::Take => {
                self.take();
            }
            Step::Acknowledge(count) => self.acknowledge(count),
            Step::Cut { stored } => self.cut(stored),
            Step::End => self.end(),
            Step::GiveUp => {
                self.cut(0);
                self.line.give_up(&Status::unavailable("away"));
            }
        }
    }
}

proptest! {
    #[test]
    fn everybody_is_answered_and_truly(steps in proptest::collection::vec(step(), 0..200)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.orders = None;
        while world.take() {}
        world.acknowledge(usize::MAX);
        prop_assert!(world.line.is_over());
        for (task, mut answered) in world.callers {
            let made = world.made.get(&task.payload).copied().unwrap_or_default();
            match answered.try_recv().expect("an answer") {
                Ok(submitted) => {
                    prop_assert_eq!(submitted.id, task.payload, "another's task");
                    prop_assert_eq!(made, 1);
                }
                Err(Error::Refused { .. }) => prop_assert_eq!(made, 0),
                Err(Error::Lost(_)) => {
                    prop_assert!(task.key.is_empty() && made <= 1);
                }
                Err(Error::Away(_)) => prop_assert!(made == 0 || !task.key.is_empty()),
                Err(Error::Stopped) => prop_assert!(false, "nobody stopped it"),
            }
        }
    }
}
