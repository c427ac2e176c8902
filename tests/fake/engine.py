#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An engine that speaks the control protocol of engine/control.h and keeps whole files as
generations: STORE/gN-DISK; the state is STORE/engine.json.  FAKE_SYNC_STEPS and FAKE_SYNC_PAUSE
make syncs slow, FAKE_SYNC_STEP_BYTES is what a step seems to copy.  STORE/limits.log has each limit
it was told, STORE/latency-ms (or FAKE_LATENCY, a file for all stores) what reads take.
FAKE_CALLS (STORE/../calls) gets each verb that changes something; before and after the Nth of them
(from 0) the engine dies with FAKE_DIE_AT=2N and 2N+1, and with FAKE_FAIL_AT=N it refuses it.
After an instant flip each look at the status while the source is known hydrates a bit,
FAKE_HYDRATE_STEPS in all."""

import errno
import fcntl
import json
import os
import shutil
import signal
import socket
import sys
import threading
import time

store = sys.argv[1]
state_path = os.path.join(store, "engine.json")
lock = threading.Lock()
live = {"limits": {"source_bytes_s": 0, "source_iops": 0}, "done": 0}
live |= {"draft": None, "cancel": False, "operation": None, "syncing": None, "sources": None}
STEPS = int(os.environ.get("FAKE_HYDRATE_STEPS", "3"))


class Refused(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def load():
    with open(state_path, encoding="utf-8") as file:
        return json.load(file)


def save(state):
    with open(state_path + ".new", "w", encoding="utf-8") as file:
        json.dump(state, file)
    os.replace(state_path + ".new", state_path)


def gen_file(generation, disk):
    return os.path.join(store, f"g{generation}-{disk}")


def draft_file(disk):
    return os.path.join(store, f"draft-{disk}")


def source_text(disk):
    """What the source of a missing block says; it has to be there."""
    if not live["sources"]:
        raise Refused(errno.EIO, "nobody has told where the source is")
    with open(live["sources"][disk], encoding="utf-8") as file:
        return file.read()


def hydrate(state):
    """One step; at the end the target holds the newest draft, or what the source had."""
    try:
        for disk, target in state["targets"].items():
            text = "" if state["local"] else source_text(disk)
            if state["missing"] > 1:
                continue
            if state["local_changes"]:
                shutil.copyfile(gen_file(state["generation"], disk), target)
            else:
                with open(target, "w", encoding="utf-8") as file:
                    file.write(text)
    except (OSError, Refused):
        live["sources"] = None
        return
    state["missing"] -= 1
    if state["missing"] == 0:
        state["mode"] = "owner"
    save(state)


def hydration_status(state):
    return [{"name": disk, "missing_bytes": state["missing"] * 1000,
             "hydration": {"source": "up" if live["sources"] or state["local"] else "unknown",
                           "fetched_bytes": (STEPS - state["missing"]) * 1000,
                           "local_bytes": 0, "rate_bytes_s": 1000}} for disk in state["targets"]]


def status(args, event):
    state = load()
    if state["mode"] == "owner-hydrating" and lock.acquire(blocking=False):
        state = load()
        if live["sources"] or state["local"]:
            hydrate(state)
        lock.release()
    answer = plain_status(state)
    if state["mode"] == "owner-hydrating":
        answer["disks"] = hydration_status(state)
    answer["failed"] = os.path.exists(os.path.join(store, "fail-disk"))
    return answer


def plain_status(state):
    return {"mode": state["mode"], "generation": state["generation"],
            "snapshot": state["snapshot"], "local_changes": state["local_changes"],
            "drafts": [live["draft"]] if live["draft"] else [], "operation": live["operation"],
            "limits": {"vm": live["limits"], "disks": {}}, "sync": sync_status(state)}


def sync_status(state):
    if not live["syncing"]:
        return None
    path = os.environ.get("FAKE_LATENCY", os.path.join(store, "latency-ms"))
    ms = float(open(path, encoding="utf-8").read()) if os.path.exists(path) else 0
    return {"snapshot": live["syncing"], "phase": "copy", "done_bytes": live["done"],
            "total_bytes": 1 << 40,
            "disks": [{"name": disk, "read_latency_us": ms * 1000} for disk in state["targets"]]}


def limit(args, event):
    live["limits"].update(args)
    if args:
        with open(os.path.join(store, "limits.log"), "a", encoding="utf-8") as log:
            log.write(json.dumps({"syncing": live["syncing"], **live["limits"]}) + "\n")
    return {"vm": live["limits"], "disks": {}}


def sync(args, event):
    state = load()
    if state["local_changes"]:
        raise Refused(errno.EPERM, "a draft was committed to this store")
    if state["mode"] not in ("init", "mirror"):
        raise Refused(errno.EPERM, "'sync' does not fit the mode")
    if state["snapshot"] == args["snapshot"] and state["mode"] == "mirror":
        return {"generation": state["generation"], "passes": [], "already": True}
    generation = 0 if state["generation"] is None else state["generation"] + 1
    if state["mode"] == "init":  # the first one is named before it is whole
        state["snapshot"] = args["snapshot"]
        save(state)
    live["cancel"] = False
    live["syncing"] = args["snapshot"]
    steps = int(os.environ.get("FAKE_SYNC_STEPS", "2"))
    step_bytes = int(os.environ.get("FAKE_SYNC_STEP_BYTES", "1000"))
    for step in range(steps):
        live["done"] = step * step_bytes
        event({"event": "progress", "phase": "copy", "done_bytes": live["done"],
               "total_bytes": steps * step_bytes, "rate_bytes_s": 1000.0, "eta_s": 1.0})
        time.sleep(float(os.environ.get("FAKE_SYNC_PAUSE", "0.01")))
        if live["cancel"]:
            raise Refused(errno.ECANCELED, "the sync was cancelled")
    if os.path.exists(os.path.join(store, "full")):
        raise Refused(errno.ENOSPC, "the pool is full; make room and run the sync again")
    passes = []
    for disk in args["disks"]:
        path = disk["uri"].removeprefix("file://")
        shutil.copyfile(path, gen_file(generation, disk["name"]))
        passes.append({"disk": disk["name"], "bytes": os.path.getsize(path), "zero_bytes": 0,
                       "changed_bytes": os.path.getsize(path), "seconds": 0.01})
    state.update(mode="mirror", generation=generation, snapshot=args["snapshot"])
    save(state)
    return {"generation": generation, "passes": passes, "already": False}


def cancel(args, event):
    live["cancel"] = True
    return {"cancelled": True}


def draft_create(args, event):
    state = load()
    if live["draft"]:
        raise Refused(errno.EEXIST, "the draft is open; seal or drop it first")
    for disk in state["targets"]:
        if state["mode"] == "owner-hydrating":
            with open(draft_file(disk), "w", encoding="utf-8") as file:
                file.write(source_text(disk))
            continue
        if state["mode"] == "owner":
            shutil.copyfile(state["targets"][disk], draft_file(disk))
            continue
        shutil.copyfile(gen_file(state["generation"], disk), draft_file(disk))
    live["draft"], live["over"] = args["name"], state["generation"]
    return {"name": args["name"], "generation": state["generation"]}


def need_draft():
    if not live["draft"]:
        raise Refused(errno.ENOENT, "there is no draft")


def draft_seal(args, event):
    state = load()
    need_draft()
    if os.path.exists(os.path.join(store, "fail-seal")):
        raise Refused(errno.EIO, "the draft cannot be made durable")
    if live["over"] != state["generation"]:
        raise Refused(errno.EPERM, "the draft is not over the latest generation")
    state["generation"] += 1
    for disk in state["targets"]:
        os.rename(draft_file(disk), gen_file(state["generation"], disk))
    state["local_changes"] = True
    if state["mode"] == "owner":
        state.update(mode="owner-hydrating", missing=1, local=True)
    save(state)
    live["draft"] = None
    return {"generation": state["generation"]}


def draft_drop(args, event):
    need_draft()
    for disk in load()["targets"]:
        os.unlink(draft_file(disk))
    live["draft"] = None
    return {}


def flip(args, event):
    state = load()
    if live["draft"]:
        raise Refused(errno.EBUSY, "the draft is open; seal or drop it first")
    if os.path.exists(os.path.join(store, "fail-flip")):
        raise Refused(errno.EIO, "the layers cannot be folded")
    if args.get("instant"):
        return instant_flip(args, state)
    for disk, target in state["targets"].items():
        shutil.copyfile(gen_file(state["generation"], disk), target)
    state["mode"] = "owner"
    save(state)
    return {"mode": "owner", "generation": state["generation"]}


def instant_flip(args, state):
    if state["snapshot"] != args["since"]:
        raise Refused(errno.EINVAL, "the changes are not those since the last generation")
    told = tell_sources(args)
    state.update(mode="owner-hydrating", snapshot=args["snapshot"], missing=STEPS, local=False)
    save(state)
    return {"mode": "owner-hydrating", "generation": state["generation"], **told}


def tell_sources(args, event=None):
    live["sources"] = {disk["name"]: disk["uri"].removeprefix("file://")
                       for disk in args["disks"]}
    return {}


def detach(args, event):
    state = load()
    state["mode"] = "detached"
    save(state)
    return {"mode": "detached"}


def failback(args, event):
    """The disks of the source become what the target is; the last time that is all."""
    state = load()
    final = args.get("final", False)
    if state["mode"] == "returned":
        return {"mode": "returned", "final": final, "already": True, "dirty_bytes": 0, "disks": []}
    if state["mode"] not in ("owner", "failback"):
        raise Refused(errno.EPERM, "'failback' does not fit the mode")
    if os.path.exists(os.path.join(store, "fail-failback")):
        raise Refused(errno.EPERM, "the source changed since the flip")
    for disk in args["disks"]:
        shutil.copyfile(state["targets"][disk["name"]], disk["uri"].removeprefix("file://"))
    state["mode"] = "returned" if final else "failback"
    save(state)
    return {"mode": state["mode"], "final": final, "already": False, "dirty_bytes": 0, "disks": []}


verbs = {"failback": failback, "status": status, "sync": sync, "cancel": cancel, "flip": flip,
         "detach": detach,
         "draft-create": draft_create, "draft-seal": draft_seal, "draft-drop": draft_drop,
         "source": tell_sources, "limit": limit, "stop": lambda args, event: {}}


def count_call(verb):
    """The number of this call, of all that engines beside this one have had."""
    path = os.environ.get("FAKE_CALLS", os.path.join(os.path.dirname(store), "calls"))
    with open(path, "a+", encoding="utf-8") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        log.seek(0)
        number = len(log.readlines())
        log.write(f"{verb} {os.path.basename(store)}\n")
    return number


def maybe_die(point):
    if os.environ.get("FAKE_DIE_AT") == str(point):
        os.kill(os.getpid(), signal.SIGKILL)


def carry_out(message, event):
    number = count_call(message["verb"])
    maybe_die(2 * number)
    if os.environ.get("FAKE_FAIL_AT") == str(number):
        raise Refused(errno.EIO, f"{message['verb']} fails, to see what comes of it")
    result = verbs[message["verb"]](message.get("args") or {}, event)
    maybe_die(2 * number + 1)
    return result


def answer(file, message):
    def event(body):
        reply({"id": message["id"], **body})

    def reply(body):
        try:
            file.write(json.dumps(body) + "\n")
            file.flush()
        except OSError:
            pass

    try:
        exclusive = message["verb"] not in ("status", "cancel", "limit", "stop")
        if exclusive:
            lock.acquire()
            live["operation"] = message["verb"]
        try:
            if exclusive:
                result = carry_out(message, event)
            else:
                result = verbs[message["verb"]](message.get("args") or {}, event)
        finally:
            if exclusive:
                live["operation"] = live["syncing"] = None
                lock.release()
        reply({"id": message["id"], "result": result})
    except OSError as error:
        reply({"id": message["id"], "error": {"code": error.errno, "name": "EIO",
                                              "message": f"the store: {error.strerror}"}})
    except Refused as refusal:
        reply({"id": message["id"], "error": {
            "code": refusal.code, "name": errno.errorcode[refusal.code], "message": str(refusal)}})
    if message["verb"] == "stop":
        os.unlink(os.path.join(store, "control.sock"))
        os._exit(0)


def serve(connection):
    with connection, connection.makefile("rw", encoding="utf-8") as file:
        for line in file:
            answer(file, json.loads(line))


def main():
    path = os.path.join(store, "control.sock")
    listener = socket.socket(socket.AF_UNIX)
    # The first of two engines wins: binding beside it and renaming would let both live.
    if os.path.exists(path):
        probe = socket.socket(socket.AF_UNIX)
        if probe.connect_ex(path) == 0:
            return
        os.unlink(path)
    listener.bind(path)
    listener.listen(16)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


main()
