"""What only Python has: Helm as a library, Kubernetes' schemas, YAML. Answers in JSON for the tests beside this file.

  chart.py render VALUES.yaml...   each set of values rendered: lint, objects, notes, what Kubernetes would refuse
  chart.py accept < VALUES.json    for each of a list of values: null, or why the chart refuses them
  chart.py reference               the table of values for helm/README.md
  chart.py yaml FILE...            the files as JSON

Runs in the tools' virtual environment (`tests/install charts`); ends with 3 where that lacks what is imported here.
"""

import json
import re
import sys
from pathlib import Path

try:
    import helm_python
    import kubernetes_validate
    import yaml
except ImportError:
    sys.exit(3)

CHART = Path(__file__).resolve().parents[2] / "helm" / "tidemill"
# The oldest release that Chart.yaml allows and the newest one that this knows of.
RELEASES = ("1.30", "1.35")
# Their schemas come with their operator, not with Kubernetes.
FOREIGN = ("monitoring.coreos.com/", "keda.sh/")
WARNING = 2
PARTS = ("storage", "scheduling", "analysis", "ingestion", "gateway")


def render(path):
    values = yaml.safe_load(Path(path).read_text()) if path != "-" else {}
    lint = helm_python.lint(CHART, values, strict=True)
    said = [message["error"] for message in lint["messages"] if message["severity"] >= WARNING]
    files = helm_python.Chart.load(CHART).render(values, name="mill", namespace="mesh")
    notes = next((text for name, text in files.items() if name.endswith("NOTES.txt")), "")
    objects, faults = [], []
    for name, text in sorted(files.items()):
        if not name.endswith(".yaml"):
            continue
        for found in filter(None, yaml.safe_load_all(text)):
            objects.append(found)
            if found["apiVersion"].startswith(FOREIGN):
                continue
            for release in RELEASES:
                try:
                    kubernetes_validate.validate(found, release, strict=True)
                except Exception as fault:  # its kinds differ with its version
                    faults.append(f"{name}: {found['kind']} {found['metadata']['name']} ({release}): {fault}")
    return {"lint": said + lint["errors"], "objects": objects, "notes": notes, "faults": faults}


def accept(values):
    chart = helm_python.Chart.load(CHART)
    try:
        chart.validate_schema(values)
        chart.render(values, name="mill", namespace="mesh")
    except helm_python.HelmError as fault:
        return str(fault)
    return None


def settings():
    """Each setting of values.yaml: its path, its default as written, the comment above it."""
    path, comment = [], []
    for line in (CHART / "values.yaml").read_text().splitlines():
        if re.match(r"\s*#", line):
            comment.append(line.strip().lstrip("#").strip())
            continue
        found = re.match(r"( *)([A-Za-z]+):(?: (.*))?$", line)
        if not found:
            comment = []
            continue
        depth, name, default = len(found[1]) // 2, found[2], found[3]
        path = path[:depth] + [name]
        if default is None:
            comment = []
            continue
        yield ".".join(path), default, " ".join(comment)
        comment = []


def reference():
    """What several parts have alike is one row, with the parts in braces."""
    rows = {}
    for path, default, comment in settings():
        assert comment, f"{path} has no comment above it"
        first, _, rest = path.partition(".")
        key = (rest, default, comment) if first in PARTS else (path, default, comment)
        rows.setdefault(key, []).append(first)
    table = ["| setting | default | what it is |", "|---|---|---|"]
    for (path, default, comment), firsts in rows.items():
        if firsts[0] in PARTS:
            path = f"{firsts[0]}.{path}" if len(firsts) == 1 else f"{{{','.join(firsts)}}}.{path}"
        table.append(f"| `{path}` | `{default}` | {comment} |")
    return "\n".join(table)


def main(command, *arguments):
    if command == "render":
        answer = [render(path) for path in arguments]
    elif command == "accept":
        answer = [accept(values) for values in json.load(sys.stdin)]
    elif command == "yaml":
        answer = [yaml.safe_load(Path(path).read_text()) for path in arguments]
    elif command == "reference":
        print(reference())
        return
    else:
        sys.exit(__doc__)
    json.dump(answer, sys.stdout)


main(*sys.argv[1:])
