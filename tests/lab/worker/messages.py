"""Stands for the module that protobuf generates from Azure Functions' FunctionRpc.proto: only what the worker touches.

A field that nobody set raises AttributeError, so that a worker which begins to read one is noticed.
"""

from __future__ import annotations

from enum import IntEnum
from types import SimpleNamespace


class _OneOf(SimpleNamespace):
    """A message of which at most one field is set."""

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 - protobuf's own name
        return next(iter(vars(self)), None)


class TypedData(_OneOf):
    """A value on its way between host and worker: string, json, bytes, int, double or http."""


class ParameterBinding(_OneOf):
    """A value with the parameter's name; the one-of is always `data`, for shared memory is never offered here."""

    def WhichOneof(self, _group: str) -> str:  # noqa: N802 - protobuf's own name
        return "data"


class StatusResult(SimpleNamespace):
    """How a request ended."""

    Failure, Success, Cancelled = range(3)


class BindingInfo(SimpleNamespace):
    """One binding of a function: Direction in=0, out=1, inout=2; DataType undefined=0."""

    out, inout, undefined = 1, 2, 0


class RpcHttpCookie(SimpleNamespace):
    """A cookie of an answer."""

    SameSite = IntEnum("SameSite", ["None", "Lax", "Strict", "ExplicitNone"], start=0)


FunctionLoadResponse = FunctionMetadataResponse = InvocationResponse = WorkerInitResponse = SimpleNamespace
RpcException = RpcFunctionMetadata = RpcHttp = RpcRetryOptions = WorkerMetadata = SimpleNamespace
