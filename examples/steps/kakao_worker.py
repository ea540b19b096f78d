"""Sends Book Market's messages: python3 kakao_worker.py nats://127.0.0.1:4222 sent.jsonl   (pip install nats-py)

Start Book Market with --external-steps notify,tell,send. The wire format is in schema.json beside this file.
"""
import asyncio, json, os, sys
from datetime import datetime, timezone

import nats

SENT = {}  # key -> proof. A real worker asks its dealer, or keeps this in a database of its own.


def send(question, journal):
    """The effect itself: here, a line in a file, on disk before anybody is told."""
    proof = {"reference": f"py-{len(SENT) + 1}", "channel": "alimtalk"}
    line = {"key": question["key"], "kind": question["input"]["kind"], "orderId": question.get("orderId"), **proof}
    print(json.dumps(line), file=journal, flush=True)
    os.fsync(journal.fileno())
    return SENT.setdefault(question["key"], proof)


def execute(question, journal):
    if question["key"] in SENT:  # Asked again: the same answer, no second message.
        return {"outcome": "done", "output": SENT[question["key"]]}
    deadline = datetime.strptime(question["deadline"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    if datetime.now(timezone.utc) >= deadline:
        return {"outcome": "unknown", "reason": "too late: nobody waits any more"}
    if not question["input"].get("text"):
        return {"outcome": "refused", "code": "empty-message", "reason": "There is nothing to send."}
    return {"outcome": "done", "output": send(question, journal)}


def probe(question, _journal):
    proof = SENT.get(question["key"])
    return {"outcome": "done", "output": proof} if proof else {"outcome": "nothing"}


async def main(url, path):
    journal = open(path, "a+", encoding="utf-8")
    journal.seek(0)
    SENT.update((line["key"], line) for line in map(json.loads, journal))
    broker = await nats.connect(url, max_reconnect_attempts=-1)
    for subject, answer in (("bookmarket.steps.*", execute), ("bookmarket.probes.*", probe)):
        async def reply(message, answer=answer):
            await message.respond(json.dumps(answer(json.loads(message.data), journal)).encode())
        await broker.subscribe(subject, queue="kakao", cb=reply)  # A queue: several workers share the work.
    await broker.flush()
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:3]))
