"""Reads per second of one query through asyncpg.

Arguments: URL, file with the query, seconds, connections, tasks, keys…
Prints the rate.
"""

import asyncio
import random
import sys
import time

import asyncpg


async def main():
    url, file, seconds, connections, tasks, *keys = sys.argv[1:]
    with open(file, encoding="utf-8") as text:
        query = text.read()
    seconds, connections, tasks = float(seconds), int(connections), int(tasks)
    pool = await asyncpg.create_pool(url, min_size=connections, max_size=connections)
    done = 0
    end = 0.0

    async def task():
        nonlocal done
        while time.perf_counter() < end:
            row = await pool.fetchrow(query, random.choice(keys))
            assert row is not None
            done += 1

    async def run(duration):
        nonlocal done, end
        done = 0
        begun = time.perf_counter()
        end = begun + duration
        await asyncio.gather(*(task() for _ in range(tasks)))
        return done / (time.perf_counter() - begun)

    await run(0.5)
    print(await run(seconds))
    await pool.close()


asyncio.run(main())
