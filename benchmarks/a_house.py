"""A simulated house in a process of its own, until its standard input closes; prints where it is as one line of JSON.

python benchmarks/a_house.py TOKEN_FILE [INSTALL_SECONDS RESTART_SECONDS]
"""

import asyncio
import json
import os
import sys

from ha_ssh.sim.house import House, Knobs
from ha_ssh.sim.running import serve


async def main(token_file: str, install: str = "0", restart: str = "0") -> None:
    knobs = Knobs(install_seconds=float(install), start_seconds=float(restart), restart_seconds=float(restart))
    async with serve(House(knobs=knobs)) as running:
        with open(os.open(token_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:  # noqa: ASYNC230, PTH123 - private from birth
            file.write(running.token.reveal())
        print(json.dumps({"url": running.url, "host": running.host}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
