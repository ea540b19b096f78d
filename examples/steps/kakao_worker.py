"""Sends Book Market's messages: python3 kakao_worker.py nats://127.0.0.1:4222 sent.jsonl (pip install nats-py)

For --external-steps notify,tell,send. The wire format is in schema.json. Workers that share a journal share the work."""
import asyncio
import fcntl
import json
import os
import sys
from datetime import datetime, timezone

import nats


def answer(subject, question, journal):
    journal.seek(0)
    lines = [line for line in journal.read().splitlines(True) if line.endswith(b"\n")]
    journal.truncate(sum(map(len, lines)))  # A line that a kill has cut off was told to nobody: it never was.
    sent = {line["key"]: {part: line[part] for part in ("reference", "channel")} for line in map(json.loads, lines)}
    if question["key"] in sent:  # Asked again: the same answer, no second message.
        return {"outcome": "done", "output": sent[question["key"]]}
    if subject.startswith("bookmarket.probes."):
        return {"outcome": "nothing"}
    if datetime.now(timezone.utc) >= datetime.strptime(question["deadline"], "%Y-%m-%dT%H:%M:%S.%f%z"):
        return {"outcome": "unknown", "reason": "too late: nobody waits any more"}
    if not question["input"].get("text"):
        return {"outcome": "refused", "code": "empty-message", "reason": "There is nothing to send."}
    proof = {"reference": f"py-{len(sent) + 1}", "channel": "alimtalk"}
    line = {"key": question["key"], "kind": question["input"]["kind"], "orderId": question.get("orderId"), **proof}
    effect = json.dumps(line).encode() + b"\n"  # The effect itself: here, a line. A real worker asks its dealer.
    if journal.write(effect) != len(effect):  # A full disk takes a part. No answer: what came of it is unknown to the shop.
        raise OSError("the journal was not written to its end")
    os.fsync(journal.fileno())  # On disk before anybody is told.
    return {"outcome": "done", "output": proof}


async def main(url, path):
    async def reply(message):
        with open(path, "a+b", buffering=0) as journal:
            fcntl.flock(journal, fcntl.LOCK_EX)  # Nobody else reads or sends until it is closed, if by a kill.
            said = answer(message.subject, json.loads(message.data), journal)
        await message.respond(json.dumps(said).encode())

    broker = await nats.connect(url, max_reconnect_attempts=-1)
    for subject in ("bookmarket.steps.*", "bookmarket.probes.*"):
        await broker.subscribe(subject, queue="kakao", cb=reply)  # A queue: several workers share the work.
    await broker.flush()
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:3]))
