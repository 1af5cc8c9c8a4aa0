"""Bit flips and truncations in the data directory of a stopped node: each block is read right, or is a miss.

Every trial damages one file of a fresh copy, starts a node on it, reads all blocks, and kills the node.
"""

import os
import random
import shutil
import time

from harness import Content, MiB, Node, Violation, arguments, describe, get, put, run, say


def sizes(generator, count):
    """Mostly small blocks, some large ones."""
    return [
        generator.choice((generator.randint(1, 4096), generator.randint(4096, 65536), generator.randint(65536, 3 * MiB)))
        if index % 8 == 0
        else generator.randint(1, 16384)
        for index in range(count)
    ]


def payload(content, key, byte_count, index):
    """Noise for some keys, zeros behind a head for others, so that raw and compressed records are both there."""
    bytes_ = content.payload(key, byte_count)
    return bytes_ if index % 2 else bytes_[:64] + bytes(max(0, byte_count - 64))


def copy(source, target):
    """Copies small files and links large ones, which are never changed in place."""
    for parent, _, names in os.walk(source):
        place = os.path.join(target, os.path.relpath(parent, source))
        os.makedirs(place, exist_ok=True)
        for name in names:
            path = os.path.join(parent, name)
            if path.endswith(".sst"):
                os.link(path, os.path.join(place, name))
            else:
                shutil.copyfile(path, os.path.join(place, name))


def files(directory):
    """(path, size) of the files that hold something."""
    found = []
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            if name != "LOCK" and not name.startswith("LOG") and os.path.getsize(path) > 0:
                found.append((path, os.path.getsize(path)))
    return sorted(found)


def damage(path, byte_count, generator):
    """Changes one file that nobody else shares; returns what was done."""
    private = path + ".private"
    shutil.copyfile(path, private)
    os.replace(private, path)
    kind = generator.choice(("flip", "flip", "flip", "burst", "truncate", "zeros"))
    offset = generator.randrange(byte_count)
    with open(path, "r+b") as file:
        if kind == "truncate":
            file.truncate(offset)
        else:
            length = {"flip": 1, "burst": 16, "zeros": 4096}[kind]
            length = min(length, byte_count - offset)
            file.seek(offset)
            old = file.read(length)
            new = {
                "flip": bytes([old[0] ^ (1 << generator.randrange(8))]),
                "burst": bytes(byte ^ generator.randrange(1, 256) for byte in old),
                "zeros": bytes(length),
            }[kind]
            file.seek(offset)
            file.write(new)
    return "%s at %d of %s (%d bytes)" % (kind, offset, os.path.basename(path), byte_count)


def main():
    options = arguments(
        __doc__, trials=(1000, "damages, one a start"), blocks=(400, "blocks stored before"), memory=("64MiB", "RAM")
    )
    say("seed %d, %d trials, %d blocks" % (options.seed, options.trials, options.blocks))
    generator = random.Random(options.seed)
    content = Content(options.seed)
    original = os.path.join(options.work, "original")
    log = os.path.join(options.work, "node.log")
    settings = ("--memory", options.memory, "--disk", "1GiB", "--prefault", "false", "--drain-timeout", "60s")

    node = Node(options.larder, log, "--data-dir", original, *settings)
    node.start()
    connection = node.connect()
    namespace = describe(connection, model="damage", dtype="bfloat16")
    blocks = [
        (content.key(index), byte_count, index) for index, byte_count in enumerate(sizes(generator, options.blocks))
    ]
    for start in range(0, len(blocks), 16):
        batch = [(key, payload(content, key, size, index)) for key, size, index in blocks[start : start + 16]]
        # Several units, so that a damage leaves something to read.
        outcomes = put(connection, namespace, batch, "DURABLE")
        if set(outcomes) - {"stored"}:
            raise Violation("a block was not stored: %s" % outcomes)
    connection.close()
    node.drain()

    right = missed = empty = 0
    started = shown = time.monotonic()
    for trial in range(1, options.trials + 1):
        place = os.path.join(options.work, "trial")
        copy(original, place)
        candidates = files(place)
        # Half of the damages by size, half in any file, so that the small bookkeeping files get their share.
        weights = [size for _, size in candidates] if generator.random() < 0.5 else None
        path, byte_count = generator.choices(candidates, weights)[0]
        what = damage(path, byte_count, generator)
        node = Node(options.larder, log, "--data-dir", place, *settings)
        try:
            node.start()
            connection = node.connect()
            describe(connection, model="damage", dtype="bfloat16")
            found = 0
            for start in range(0, len(blocks), 64):
                batch = blocks[start : start + 64]
                for (key, size, index), bytes_ in zip(batch, get(connection, namespace, [key for key, _, _ in batch])):
                    if bytes_ is None:
                        missed += 1
                    elif bytes_ == payload(content, key, size, index):
                        found += 1
                    else:
                        raise Violation("trial %d, %s: block %s has wrong bytes" % (trial, what, key.decode()))
            right += found
            empty += found == 0
            connection.close()
            if not node.is_alive():
                raise Violation("trial %d, %s: the node died" % (trial, what))
        except (OSError, ConnectionError) as error:
            raise Violation("trial %d, %s: %s; see %s" % (trial, what, error, log))
        finally:
            node.kill()
        shutil.rmtree(place)
        if time.monotonic() - shown > 10:
            shown = time.monotonic()
            say("trial %d: %d reads right, %d misses" % (trial, right, missed))
    say(
        "passed: %d damages in %.0f s; %d reads right, %d misses, none wrong, no crash; %d starts found nothing"
        % (options.trials, time.monotonic() - started, right, missed, empty)
    )


run(main)
