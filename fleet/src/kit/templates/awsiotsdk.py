# AWS IoT Device SDK v2 for Python (awsiotsdk), MQTT 5.
import os
import threading

from awscrt import mqtt5
from awsiot import mqtt5_client_builder

CA_PEM = """@ca@"""

connected = threading.Event()
# The SDK adds the authorizer to the user name, and offers ALPN "mqtt".
client = mqtt5_client_builder.direct_with_custom_authorizer(
    endpoint=@"host"@,
    port=@port@,
    ca_bytes=CA_PEM.encode(),
    client_id=@"client_id"@,
    auth_authorizer_name=@"authorizer"@,
    auth_username=@"name"@,
    auth_password=@password@,
    on_lifecycle_connection_success=lambda data: connected.set(),
)
client.start()
assert connected.wait(20), "no connection"
# QoS 0 or 1. Subscribe to @"subscribe"@.
packet = mqtt5.PublishPacket(topic=@"publish"@, payload="hello", qos=mqtt5.QoS.AT_LEAST_ONCE)
client.publish(packet).result(20)
client.stop()
