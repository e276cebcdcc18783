"""Rows per second of one-row transactions through asyncpg.

Arguments: URL, seconds, connections, tasks, and the columns of one row as JSON
texts: signal, instrument, instant, numbers…
Prints the rate.
"""

import asyncio
import datetime
import decimal
import sys
import time

import asyncpg

SQL = """INSERT INTO signal_greeks (
    signal_id, instrument_key, "timestamp", delta, gamma, theta, vega, rho,
    implied_volatility, theoretical_value, underlying_price, strike_price, time_to_expiry
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"""


async def main():
    url, seconds, connections, tasks, signal, instrument, instant, *numbers = sys.argv[1:]
    seconds, connections, tasks = float(seconds), int(connections), int(tasks)
    first = datetime.datetime.fromisoformat(instant)
    numbers = [decimal.Decimal(number) for number in numbers]
    pool = await asyncpg.create_pool(url, min_size=connections, max_size=connections)
    done = 0
    end = 0.0

    async def task():
        nonlocal done
        while time.perf_counter() < end:
            done += 1
            stamp = first + datetime.timedelta(milliseconds=done)
            await pool.execute(SQL, signal, instrument, stamp, *numbers)

    begun = time.perf_counter()
    end = begun + seconds
    await asyncio.gather(*(task() for _ in range(tasks)))
    print(done / (time.perf_counter() - begun))
    await pool.close()


asyncio.run(main())
