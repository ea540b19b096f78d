"""Sends Book Market's messages: python3 kakao_worker.py nats://127.0.0.1:4222 sent.jsonl   (pip install nats-py)

Start Book Market with --external-steps notify,tell,send. The wire format is in schema.json beside this file. Several workers
share the work if they share the journal as well: any of them may be asked what another one has sent.
"""
import asyncio, fcntl, json, os, sys
from datetime import datetime, timezone

import nats


def sent(journal):
    """Key -> proof of all that any worker has sent. A real worker asks its dealer, or keeps this in a database."""
    journal.seek(0)
    lines = journal.read()
    whole = lines.rfind(b"\n") + 1  # A line that a kill has cut off was told to nobody: it never was.
    journal.truncate(whole)
    lines = map(json.loads, lines[:whole].splitlines())
    return {line["key"]: {"reference": line["reference"], "channel": line["channel"]} for line in lines}


def execute(question, journal):
    known = sent(journal)
    if question["key"] in known:  # Asked again: the same answer, no second message.
        return {"outcome": "done", "output": known[question["key"]]}
    deadline = datetime.strptime(question["deadline"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    if datetime.now(timezone.utc) >= deadline:
        return {"outcome": "unknown", "reason": "too late: nobody waits any more"}
    if not question["input"].get("text"):
        return {"outcome": "refused", "code": "empty-message", "reason": "There is nothing to send."}
    proof = {"reference": f"py-{len(known) + 1}", "channel": "alimtalk"}
    line = {"key": question["key"], "kind": question["input"]["kind"], "orderId": question.get("orderId"), **proof}
    journal.write(json.dumps(line).encode() + b"\n")  # The effect itself: here, a line, on disk before anybody is told.
    os.fsync(journal.fileno())
    return {"outcome": "done", "output": proof}


def probe(question, journal):
    proof = sent(journal).get(question["key"])
    return {"outcome": "done", "output": proof} if proof else {"outcome": "nothing"}


async def main(url, path):
    journal = open(path, "a+b", buffering=0)
    broker = await nats.connect(url, max_reconnect_attempts=-1)
    for subject, answer in (("bookmarket.steps.*", execute), ("bookmarket.probes.*", probe)):
        async def reply(message, answer=answer):
            fcntl.flock(journal, fcntl.LOCK_EX)  # Nobody else reads or sends meanwhile; a kill lets go of it.
            try:
                said = answer(json.loads(message.data), journal)
            finally:
                fcntl.flock(journal, fcntl.LOCK_UN)
            await message.respond(json.dumps(said).encode())
        await broker.subscribe(subject, queue="kakao", cb=reply)  # A queue: several workers share the work.
    await broker.flush()
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:3]))
