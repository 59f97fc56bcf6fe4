"""Devices on the AWS IoT Device SDK: reads a list of attempts as JSON, writes what happens as JSON lines.

An attempt: mqtt (3 or 5), builder (a function of the SDK's builder module), arguments (for it), proxy (a port of
127.0.0.1, or null) and actions, each a list: ["subscribe", filter], ["publish", topic, payload], ["receive"].
A connection that is refused, or an action that fails, ends the attempt.
"""

import concurrent.futures
import json
import queue
import sys

from awscrt import exceptions, http, mqtt, mqtt5
from awsiot import mqtt5_client_builder, mqtt_connection_builder

LIMIT_SECONDS = 20


class Refused(Exception):
    """With the SDK's own name for the cause."""


def name_of(error):
    return error.name if isinstance(error, exceptions.AwsCrtError) else str(error)


def wait(future):
    try:
        return future.result(LIMIT_SECONDS)
    except concurrent.futures.TimeoutError:
        raise Refused("nothing") from None
    except Exception as error:
        raise Refused(name_of(error)) from None


def next_of(events):
    try:
        return events.get(timeout=LIMIT_SECONDS)
    except queue.Empty:
        raise Refused("nothing") from None


class Mqtt3:
    def __init__(self, builder, arguments):
        self.messages = queue.Queue()
        self.connection = getattr(mqtt_connection_builder, builder)(clean_session=True, **arguments)
        self.connection.on_message(self.on_message)

    def on_message(self, topic, payload, **_):
        self.messages.put((topic, payload))

    def connect(self):
        wait(self.connection.connect())

    def subscribe(self, topic_filter):
        return wait(self.connection.subscribe(topic_filter, mqtt.QoS.AT_LEAST_ONCE)[0])["qos"]

    def publish(self, topic, payload):
        wait(self.connection.publish(topic, payload, mqtt.QoS.AT_LEAST_ONCE)[0])
        return 0

    def disconnect(self):
        wait(self.connection.disconnect())


class Mqtt5:
    def __init__(self, builder, arguments):
        self.messages = queue.Queue()
        self.changes = queue.Queue()
        self.client = getattr(mqtt5_client_builder, builder)(
            on_publish_received=self.on_publish,
            on_lifecycle_connection_success=lambda _: self.changes.put(None),
            on_lifecycle_connection_failure=self.on_failure,
            on_lifecycle_stopped=lambda _: self.changes.put(None),
            **arguments,
        )

    def on_publish(self, data):
        self.messages.put((data.publish_packet.topic, data.publish_packet.payload))

    def on_failure(self, data):
        # What the server said names the cause better than what the SDK makes of it.
        connack = data.connack_packet
        self.changes.put(connack.reason_code.name if connack else name_of(data.exception))

    def connect(self):
        self.client.start()
        failure = next_of(self.changes)
        if failure is not None:
            # Or it would try again and again.
            self.disconnect()
            raise Refused(failure)

    def subscribe(self, topic_filter):
        subscription = mqtt5.Subscription(topic_filter, mqtt5.QoS.AT_LEAST_ONCE)
        return wait(self.client.subscribe(mqtt5.SubscribePacket([subscription]))).reason_codes[0]

    def publish(self, topic, payload):
        packet = mqtt5.PublishPacket(topic=topic, payload=payload, qos=mqtt5.QoS.AT_LEAST_ONCE)
        return wait(self.client.publish(packet)).puback.reason_code

    def disconnect(self):
        self.client.stop(mqtt5.DisconnectPacket())
        next_of(self.changes)


class Attempt:
    def __init__(self, number, task):
        self.number = number
        self.task = task
        arguments = dict(task["arguments"])
        if task["proxy"] is not None:
            arguments["http_proxy_options"] = http.HttpProxyOptions("127.0.0.1", task["proxy"])
        self.device = (Mqtt3 if task["mqtt"] == 3 else Mqtt5)(task["builder"], arguments)

    def say(self, event, **fields):
        print(json.dumps({"attempt": self.number, "event": event, **fields}), flush=True)

    def run(self):
        try:
            self.device.connect()
        except Refused as refused:
            return self.say("refused", reason=str(refused))
        self.say("connected")
        try:
            for name, *arguments in self.task["actions"]:
                getattr(self, name)(*arguments)
            self.device.disconnect()
            self.say("disconnected")
        except Refused as refused:
            self.say("failed", reason=str(refused))

    def subscribe(self, topic_filter):
        self.say("subscribed", code=int(self.device.subscribe(topic_filter)))

    def publish(self, topic, payload):
        self.say("published", code=int(self.device.publish(topic, payload)))

    def receive(self):
        topic, payload = next_of(self.device.messages)
        self.say("message", topic=topic, payload=payload.decode())


if __name__ == "__main__":
    for number, task in enumerate(json.load(sys.stdin)):
        Attempt(number, task).run()
