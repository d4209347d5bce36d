"""A worker in Python: all that `proto/tidemill/scheduling/v1/worker.proto` asks of one, in an afternoon's work.

  worker.py ADDRESS NAME KIND...

Makes its messages from the contracts when it starts (grpcio-tools: `tests/install python-worker`; ends with 3 without it),
runs tasks of these kinds by `run`, and drains on SIGTERM. What it does it says on its standard output, a line each.

The tasks' payload is JSON: {"text": "tide"} returns it reversed; "fail" fails that often, and saves a checkpoint first;
"snooze" puts the task off once; "seconds" lets it take a while.
"""

import importlib
import json
import os
import queue
import random
import signal
import sys
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

try:
    import grpc
    from grpc_tools import protoc
except ImportError:
    sys.exit(3)

SLOTS = 4
PROTO = Path(__file__).resolve().parents[2] / "proto"


def contracts():
    """The messages and the client, generated from the contracts."""
    out = tempfile.mkdtemp()
    own = [f"tidemill/{name}.proto" for name in ("scheduling/v1/worker", "types/v1/task", "types/v1/types")]
    include = Path(protoc.__file__).parent / "_proto"
    command = ["protoc", f"-I{PROTO}", f"-I{include}", f"--python_out={out}", f"--grpc_python_out={out}", *own]
    if protoc.main(command) != 0:
        sys.exit("the contracts could not be compiled")
    sys.path.insert(0, out)
    load = lambda name: importlib.import_module(f"tidemill.{name}")
    return load("scheduling.v1.worker_pb2"), load("scheduling.v1.worker_pb2_grpc"), load("types.v1.task_pb2")


def tell(*words):
    """One line at once, whatever other threads say."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


class Snooze(Exception):
    """Not now: the task waits for so many seconds, and none of its attempts is spent."""

    def __init__(self, seconds, reason):
        super().__init__(reason)
        self.seconds = seconds


def run(lease, progress):
    """Runs one attempt: returns the result, or raises what went wrong."""
    asked = json.loads(lease.task.payload)
    done = int(lease.checkpoint or b"0")
    if asked.get("snooze") and not done:
        progress(50.0, "half way", b"1")
        raise Snooze(0.2, "the provider is busy")
    if lease.task.attempt <= asked.get("fail", 0):
        progress(90.0, "nearly there", str(done + 1).encode())
        raise RuntimeError(f"attempt {lease.task.attempt} was told to fail")
    time.sleep(asked.get("seconds", 0))
    return json.dumps({"text": asked["text"][::-1], "attempt": lease.task.attempt, "resumed": done})


class Worker:
    """One stream to one scheduler, opened again when it is lost."""

    def __init__(self, address, name, kinds):
        self.pb, self.rpc, self.types = contracts()
        self.address, self.name, self.kinds = address, name, kinds
        self.pool = ThreadPoolExecutor(SLOTS)
        self.say = queue.SimpleQueue()
        self.running = {}  # task: lease
        self.lock = threading.Lock()
        self.draining = threading.Event()
        self.unanswered = 0

    def words(self, say):
        """What is said over one stream, until None ends it."""
        while (word := say.get()) is not None:
            yield self.pb.WorkRequest(**word)

    def named(self):
        with self.lock:
            leases = list(self.running.values())
        return [self.pb.RunningTask(task_id=lease.task.id, token=lease.token) for lease in leases]

    def work(self):
        failures = 0
        while not self.draining.is_set():
            self.say = queue.SimpleQueue()
            hello = dict(worker=self.name, kinds=self.kinds, slots=SLOTS, labels={"language": "python"}, running=self.named())
            self.say.put({"hello": self.pb.Hello(**hello)})
            try:
                with grpc.insecure_channel(self.address) as channel:
                    for word in self.rpc.WorkerServiceStub(channel).Work(self.words(self.say)):
                        failures = 0
                        self.hear(word)
            except grpc.RpcError as fault:
                tell("lost", fault.code().name)
            self.say.put(None)
            failures += 1
            self.draining.wait(random.uniform(0.5, 1.0) * min(0.2 * 2**failures, 15))
        tell("drained")

    def hear(self, word):
        what = word.WhichOneof("message")
        if what == "welcome":
            beat = word.welcome.lease_duration.ToTimedelta().total_seconds() / 3
            threading.Thread(target=self.beat, args=(self.say, beat), daemon=True).start()
            self.say.put({"credits": self.pb.Credits(count=SLOTS - len(self.running))})
            tell("welcome")
        elif what == "leases":
            for lease in word.leases.leases:
                with self.lock:
                    self.running[lease.task.id] = lease
                self.pool.submit(self.attempt, lease)
        elif what == "outcomes":
            for outcome in word.outcomes.outcomes:
                tell("outcome", outcome.task_id, outcome.accepted)
            with self.lock:
                self.unanswered -= len(word.outcomes.outcomes)
            self.close_when_idle()
        elif what == "withdrawn":
            tell("withdrawn", word.withdrawn.count)
        elif what == "cancel":
            # A thread cannot be stopped; what it returns no longer counts.
            with self.lock:
                for task in [*word.cancel.task_ids, *(one.task_id for one in word.cancel.attempts)]:
                    self.running.pop(task, None)
        elif what == "drain":
            self.drain()

    def beat(self, say, period):
        while say is self.say:
            time.sleep(period)
            say.put({"heartbeat": self.pb.Heartbeat(running=self.named(), cpu=-1)})

    def attempt(self, lease):
        task, token = lease.task.id, lease.token
        shard = (uuid.UUID(task).int & (1 << 62) - 1) >> 48
        tell("attempt", task, lease.task.attempt, "shard", shard)

        def progress(percent, note, checkpoint):
            news = dict(task_id=task, token=token, percent=percent, note=note, checkpoint=checkpoint)
            self.say.put({"progress": self.pb.Progress(**news)})

        results = self.pb.Results()
        try:
            results.completions.add(task_id=task, token=token, result=run(lease, progress))
        except Snooze as later:
            snooze = results.snoozes.add(task_id=task, token=token, reason=str(later))
            snooze.until.FromNanoseconds(time.time_ns() + int(later.seconds * 1e9))
        except Exception as fault:  # whatever it is, the task's attempt has failed
            results.failures.add(task_id=task, token=token, error=str(fault), retryable=True)
        with self.lock:
            if self.running.pop(task, None) is None:
                return
            self.unanswered += 1
        self.say.put({"results": results})
        if not self.draining.is_set():
            self.say.put({"credits": self.pb.Credits(count=1)})

    def drain(self, *_):
        tell("draining")
        self.draining.set()
        self.say.put({"withdraw": self.pb.Withdraw(count=SLOTS)})
        self.close_when_idle()

    def close_when_idle(self):
        with self.lock:
            is_idle = not self.running and self.unanswered <= 0
        if self.draining.is_set() and is_idle:
            self.say.put(None)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    worker = Worker(sys.argv[1], sys.argv[2], sys.argv[3:])
    # A handler must not wait for a lock that the thread it interrupts may hold.
    stopped, stop = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(stop, b"x"))
    threading.Thread(target=lambda: (os.read(stopped, 1), worker.drain()), daemon=True).start()
    worker.work()
