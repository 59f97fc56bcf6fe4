"""AWS IoT Core with a custom authorizer, on this machine, for tests in Python."""

from .gateway import Device, Gateway, GatewayError

__all__ = ["Device", "Gateway", "GatewayError"]
