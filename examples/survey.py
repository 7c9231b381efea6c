"""A survey: one question to many people at once, each answer kept as it comes.

Run it from any folder: `.venv/bin/python examples/survey.py`. It needs no key: it starts a simulator that fails some of
the calls, as servers do. Run it a second time, and nobody is asked again; stop it half way, and the next run asks only
those who are left. What is known of the survey is in `results/tasks.sqlite` of the folder that you are in.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import openai

# The project runs from its folder: nothing of it is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.endpoints.simulated import simulated_server, simulator_settings
from bench.toolkit import ConcurrencyManager, ErrorHandler, TaskManager

if TYPE_CHECKING:
    from bench.toolkit import TaskInfo

QUESTION = "您每天使用人工智能工具多长时间？"
PEOPLE = [f"p{number:03}" for number in range(1, 301)]


async def deploy_survey(client: openai.AsyncOpenAI, tasks: TaskManager) -> TaskInfo:
    """Ask everybody who has not answered yet; return how the survey stands."""
    manager = ConcurrencyManager.for_survey()
    handler = ErrorHandler(max_retries=5, retry_delay=0.1)

    async def ask(person: str) -> str:
        answer = await client.chat.completions.create(
            model="simulated", messages=[{"role": "user", "content": f"{person}: {QUESTION}"}], max_tokens=8
        )
        return answer.choices[0].message.content or ""

    params = {"question": QUESTION, "people": PEOPLE}
    async with tasks.run("survey", params, len(PEOPLE), unordered={"people"}) as run:
        if run.is_new:
            left = [person for person in PEOPLE if person not in run.done_items]
            print(f"asking {len(left)} of {len(PEOPLE)}")

            async def interview(person: str) -> None:
                # An answer is kept when it is there: what stops the program later does not take it back.
                answer = await handler.with_retry(lambda: ask(person))
                run.add(answer, item=person)

            outcomes = await manager.execute_batch_with_isolation(interview, left)
            for person, outcome in zip(left, outcomes, strict=True):
                if not outcome.success:
                    run.add(outcome.error, success=False, item=person)
        else:
            print("nothing to ask: the survey is complete, or under way in another process")
    return run.task


async def main(base_url: str) -> None:
    """Run the survey and say how it stands."""
    tasks = TaskManager()
    # The handler tries again, and counts; the SDK would try behind its back.
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
        task = await deploy_survey(client, tasks)
    print(f"{task.status}: {task.success_count} answered, {task.failed_count} failed of {task.total_count}")
    tasks.close()


if __name__ == "__main__":
    settings = simulator_settings(
        ("ttft=0.3", "itl=0.01", "jitter=0.5", "error-rate=0.1", "reject-rate=0.05", "retry-after=0.1")
    )
    with simulated_server(settings) as server:
        asyncio.run(main(server.endpoint.base_url))
