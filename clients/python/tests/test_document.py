"""The client and the code samples against the OpenAPI document of the running hangup."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from conftest import API_KEY, URL

from hangup import AsyncHangup, CallFilter, CallStatus, Hangup, __version__

DOCUMENT: dict[str, Any] = httpx.get(f"{URL}/openapi.json").json()
OPERATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    operation["operationId"]: (path, method, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
FUNCTIONS = {
    "createCall": "calls.create",
    "getCall": "calls.get",
    "listCalls": "calls.list",
    "searchCalls": "calls.search",
    "cancelCall": "calls.cancel",
    "listCallEvents": "calls.events",
    "createCancellation": "cancellations.create",
    "getCancellation": "cancellations.get",
    "listCancellations": "cancellations.list",
    "liftHold": "cancellations.lift_hold",
    "streamEvents": "events.subscribe",
    "getCurrentApiKey": "api_keys.current",
    "listAgents": "agents.list",
    "getHealth": "health.get",
    "getHealthHistory": "health.history",
    "getHealthFindings": "health.findings",
    "listRoomDeletions": "room_deletions.list",
    "retryRoomDeletion": "room_deletions.retry",
    "listApiKeys": "api_keys.list",
    "createApiKey": "api_keys.create",
    "revokeApiKey": "api_keys.revoke",
    "listAdoptionPrefixes": "adoption.list",
    "addAdoptionPrefix": "adoption.add",
    "removeAdoptionPrefix": "adoption.remove",
}
# Arguments of the client, and the input that separates `create` from `preview`.
OWN = {"timeout", "silence_timeout"}
NOT_ARGUMENTS = {"dry_run"}
# The path of a cancellation has the parameter `id`.
RENAMED = {("getCancellation", "id"): "cancellation_id", ("liftHold", "id"): "cancellation_id"}


def function(client: object, operation_id: str) -> Callable[..., Any]:
    target: Any = client
    for name in FUNCTIONS[operation_id].split("."):
        target = getattr(target, name)
    found: Callable[..., Any] = target
    return found


def snake(name: str) -> str:
    return re.sub(r"([A-Z])", r"_\1", name).lower().replace("-", "_")


def inputs(operation_id: str) -> set[str]:
    _, _, operation = OPERATIONS[operation_id]
    names = {parameter["name"] for parameter in operation.get("parameters", [])}
    body = operation.get("requestBody")
    if body is not None:
        schema = body["content"]["application/json"]["schema"]
        if "$ref" in schema:
            schema = DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
        names |= set(schema.get("properties", {}))
    return {RENAMED.get((operation_id, name), snake(name)) for name in names} - NOT_ARGUMENTS


def test_the_client_has_a_function_for_every_operation() -> None:
    assert set(FUNCTIONS) == set(OPERATIONS)


@pytest.mark.parametrize("operation_id", FUNCTIONS)
@pytest.mark.parametrize("client", [Hangup, AsyncHangup])
def test_the_arguments_are_the_inputs_of_the_operation(
    client: type[Hangup] | type[AsyncHangup], operation_id: str
) -> None:
    parameters = inspect.signature(function(client(url=URL, api_key=API_KEY), operation_id)).parameters
    assert set(parameters) - OWN == inputs(operation_id)


def test_the_versions_of_the_client_and_the_document_are_equal() -> None:
    assert __version__ == DOCUMENT["info"]["version"]


def test_the_statuses_are_those_of_the_document() -> None:
    assert list(get_args(CallStatus)) == DOCUMENT["components"]["schemas"]["CallStatus"]["enum"]


class EnoughError(Exception):
    """Ends a sample that has no end."""


@pytest.mark.parametrize("operation_id", FUNCTIONS)
@pytest.mark.parametrize("language", ["curl", "Python"])
def test_the_code_sample_runs(operation_id: str, language: str) -> None:
    samples = OPERATIONS[operation_id][2]["x-codeSamples"]
    source = next(sample["source"] for sample in samples if sample["label"] == language)
    with Hangup(url=URL, api_key=API_KEY) as hangup:
        # The sample of `calls.create` has a fixed id, and an id can be used once.
        source = source.replace("support-4712", f"support-{uuid.uuid4()}")
        # The rooms of these calls are not deleted yet.
        is_retry = operation_id == "retryRoomDeletion"
        call_id = f"python-not-deleted-{language}" if is_retry else hangup.calls.create()["id"]
        held = CallFilter(agentId="held")
        cancellation_id = hangup.cancellations.create(filter=held, reason="sample", hold=True)["id"]
        # A prefix can be removed once.
        prefix = f"sample-{uuid.uuid4()}"
        ids = {
            "call_id": call_id,
            "cancellation_id": cancellation_id,
            "key_id": hangup.api_keys.create(name="sample", scopes=["calls:read"])["id"],
            "prefix": hangup.adoption.add(prefix)["prefix"],
        }
        stopped = threading.Event()

        def create_calls() -> None:
            while not stopped.wait(0.1):
                hangup.calls.create()

        background = threading.Thread(target=create_calls)
        background.start()
        try:
            if language == "curl":
                run_curl(source, ids)
            else:
                run_python(source, ids)
        finally:
            stopped.set()
            background.join()


README = (Path(__file__).parent.parent / "README.md").read_text()


@pytest.mark.parametrize("block", re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL))
def test_the_example_in_the_readme_runs(block: str) -> None:
    exec(block, {"__name__": "__main__"})


def run_curl(source: str, ids: dict[str, str]) -> None:
    is_stream = " -N" in source
    command = source.replace("curl ", f"curl --silent --show-error {'' if is_stream else '--fail-with-body'} ", 1)
    env = {
        **os.environ,
        "HANGUP_URL": URL,
        "HANGUP_API_KEY": API_KEY,
        **{name.upper(): value for name, value in ids.items()},
    }
    with subprocess.Popen(["sh", "-c", f"exec {command}"], env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if is_stream:
            assert any(line == "event: call.created\n" for line in process.stdout)
            process.kill()
        else:
            output = process.stdout.read()
            assert process.wait() == 0, output
            assert output.startswith('{"data":'), output


def run_python(source: str, ids: dict[str, str]) -> None:
    printed: list[tuple[object, ...]] = []

    def show(*values: object) -> None:
        printed.append(values)
        if "subscribe" in source:
            raise EnoughError

    names = {"url": URL, "api_key": API_KEY, **ids, "print": show}
    try:
        exec(source, names)
    except EnoughError:
        pass
    finally:
        client = names.get("hangup")
        assert isinstance(client, Hangup)
        client.close()
    assert printed
