"""Devices on the shadow client of the AWS IoT Device SDK (IotShadowClientV2): attempts as in aws_iot_sdk.py.

The further actions: ["open"], ["get", thing, name], ["update", thing, name, desired, reported], ["delete", thing, name],
["watch", thing, name] and ["delta"]. A name is null for the classic shadow.
"""

import json
import queue
import sys

from awscrt import mqtt_request_response
from awsiot import ServiceStreamOptions, V2ServiceException, iotshadow

from aws_iot_sdk import LIMIT_SECONDS, Attempt, Mqtt5, next_of


class ShadowAttempt(Attempt):
    def open(self):
        protocol = self.device.client if isinstance(self.device, Mqtt5) else self.device.connection
        options = mqtt_request_response.ClientOptions(4, 4, LIMIT_SECONDS)
        self.shadows = iotshadow.IotShadowClientV2(protocol, options)
        self.deltas = queue.Queue()

    def call(self, event, operation, thing, name, **members):
        kind = "shadow" if name is None else "named_shadow"
        request = getattr(iotshadow, operation.capitalize() + ("" if name is None else "Named") + "ShadowRequest")
        names = {"thing_name": thing} if name is None else {"thing_name": thing, "shadow_name": name}
        future = getattr(self.shadows, f"{operation}_{kind}")(request(**names, **members))
        try:
            answer = future.result(LIMIT_SECONDS)
        except V2ServiceException as error:
            self.say("rejected", code=error.modeled_error.code, message=error.modeled_error.message)
        else:
            self.say(event, version=answer.version, state=self.members(getattr(answer, "state", None)))

    @staticmethod
    def members(state):
        names = ("desired", "reported", "delta")
        members = {name: getattr(state, name, None) for name in names}
        return {name: value for name, value in members.items() if value is not None}

    def get(self, thing, name):
        self.call("got", "get", thing, name)

    def update(self, thing, name, desired, reported):
        state = iotshadow.ShadowState(desired=desired, reported=reported)
        self.call("updated", "update", thing, name, state=state)

    def delete(self, thing, name):
        self.call("deleted", "delete", thing, name)

    def watch(self, thing, name):
        ready = queue.Queue()
        options = ServiceStreamOptions(
            incoming_event_listener=self.deltas.put, subscription_status_listener=ready.put
        )
        if name is None:
            request = iotshadow.ShadowDeltaUpdatedSubscriptionRequest(thing_name=thing)
            self.stream = self.shadows.create_shadow_delta_updated_stream(request, options)
        else:
            request = iotshadow.NamedShadowDeltaUpdatedSubscriptionRequest(thing_name=thing, shadow_name=name)
            self.stream = self.shadows.create_named_shadow_delta_updated_stream(request, options)
        self.stream.open()
        self.say("watching", status=mqtt_request_response.SubscriptionStatusEventType(next_of(ready).type).name)

    def delta(self):
        event = next_of(self.deltas)
        self.say("delta", version=event.version, state=event.state)


for number, task in enumerate(json.load(sys.stdin)):
    ShadowAttempt(number, task).run()
