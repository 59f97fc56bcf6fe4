"""A device on paho-mqtt: reads one task as JSON from standard input, writes what happens as JSON lines.

The task: host, port, ca (null is no TLS), alpn (or null), client_id, user_name, password (base64), version (3, 4 or 5),
transport ("tcp", or "websockets" at /mqtt) and actions, each a list: ["publish", topic, payload, qos], ["subscribe", filter, qos], ["receive"],
["closed"], ["disconnect"]. An action that fails ends the task.
"""

import base64
import json
import ssl
import sys
import time

import paho.mqtt.client as mqtt

LIMIT_SECONDS = 20


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


class Device:
    def __init__(self, task):
        self.task = task
        self.answers = []
        self.messages = []
        self.ended = False
        client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=task["client_id"],
            protocol=task["version"],
            transport=task["transport"],
        )
        if task["ca"] is not None:
            context = ssl.create_default_context(cafile=task["ca"])
            if task["alpn"] is not None:
                context.set_alpn_protocols([task["alpn"]])
            client.tls_set_context(context)
        client.username_pw_set(task["user_name"], base64.b64decode(task["password"]))
        client.on_connect = lambda c, u, flags, code, properties: self.on_answer("connected", [code])
        client.on_publish = lambda c, u, mid, code, properties: self.on_answer("published", [code])
        client.on_subscribe = lambda c, u, mid, codes, properties: self.on_answer("subscribed", codes)
        client.on_message = lambda c, u, message: self.messages.append(message)
        client.on_disconnect = self.on_disconnect
        self.client = client

    def on_answer(self, event, codes):
        say(event, codes=[code.value for code in codes], reason=str(codes[0]))
        self.answers.append(codes)

    def on_disconnect(self, client, userdata, flags, code, properties):
        self.ended = True
        say("disconnected", by_server=flags.is_disconnect_packet_from_server, code=code.value, reason=str(code))

    def run(self):
        try:
            self.client.connect(self.task["host"], self.task["port"], keepalive=60)
        except ssl.SSLError as error:
            # Python knows no name for some alerts.
            return say("tls_failed", reason=error.reason)
        except OSError as error:
            return say("not_connected", reason=type(error).__name__)
        if self.answered():
            for name, *arguments in self.task["actions"]:
                if not getattr(self, name)(*arguments):
                    break

    def publish(self, topic, payload, qos):
        self.client.publish(topic, payload, qos)
        return self.answered()

    def subscribe(self, topic_filter, qos):
        self.client.subscribe(topic_filter, qos)
        return self.answered()

    def receive(self):
        if not self.until(lambda: self.messages):
            return False
        message = self.messages.pop(0)
        say("message", topic=message.topic, payload=message.payload.decode(), qos=message.qos)
        return True

    def closed(self):
        return self.until(lambda: self.ended)

    def disconnect(self):
        self.client.disconnect()
        return self.until(lambda: self.ended)

    def answered(self):
        return self.until(lambda: self.answers) and not self.answers.pop(0)[0].is_failure

    def until(self, happened):
        deadline = time.monotonic() + LIMIT_SECONDS
        while not happened():
            if self.ended:
                return False
            if time.monotonic() > deadline:
                say("nothing")
                return False
            self.client.loop(timeout=0.05)
        return True


Device(json.load(sys.stdin)).run()
