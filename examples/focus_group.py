"""A focus group: the host says something, and every participant answers, whatever becomes of the others.

Run it from any folder: `.venv/bin/python examples/focus_group.py`. It needs no key: it starts a simulator that fails a
third of the calls, and tries each only twice, so that some participants stay silent. The group is then `partial`, with
the reasons, and not called a success. Run it again, and only the silent ones are asked.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import openai

# The project runs from its folder: nothing of it is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.endpoints.simulated import simulated_server, simulator_settings
from bench.toolkit import ConcurrencyManager, ErrorHandler, TaskManager

if TYPE_CHECKING:
    from bench.toolkit import TaskInfo

HOST_MESSAGE = "大家怎么看待电动汽车的续航问题？"
PARTICIPANTS = [f"participant-{number:02}" for number in range(1, 31)]


async def batch_generate_responses(
    client: openai.AsyncOpenAI, tasks: TaskManager, participant_ids: list[str], host_message: str
) -> TaskInfo:
    """Let every participant answer the host; return how the round stands."""
    manager = ConcurrencyManager.for_focus_group()
    handler = ErrorHandler(max_retries=1, retry_delay=0.05)

    @handler.retry_decorator()
    async def respond(participant: str) -> str:
        answer = await client.chat.completions.create(
            model="simulated",
            messages=[
                {"role": "system", "content": f"You are {participant} of a focus group."},
                {"role": "user", "content": host_message},
            ],
            max_tokens=12,
        )
        return answer.choices[0].message.content or ""

    params = {"participants": participant_ids, "host": host_message}
    async with tasks.run("focus group", params, len(participant_ids), unordered={"participants"}) as run:
        if run.is_new:
            silent = [each for each in participant_ids if each not in run.done_items]
            outcomes = await manager.execute_batch_with_isolation(respond, silent)
            for participant, outcome in zip(silent, outcomes, strict=True):
                run.add(outcome.data if outcome.success else outcome.error, success=outcome.success, item=participant)
            for reason, count in Counter(type(each.exception).__name__ for each in outcomes if each.exception).items():
                print(f"{count} x {reason}")
    return run.task


async def main(base_url: str) -> None:
    """Hold one round and say how it stands."""
    tasks = TaskManager()
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
        task = await batch_generate_responses(client, tasks, PARTICIPANTS, HOST_MESSAGE)
    print(f"{task.status}: {task.success_count} answered, {task.failed_count} failed of {task.total_count}")
    tasks.close()


if __name__ == "__main__":
    with simulated_server(simulator_settings(("ttft=0.05", "itl=0.002", "error-rate=0.35"))) as server:
        asyncio.run(main(server.endpoint.base_url))
