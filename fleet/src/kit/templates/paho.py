# paho-mqtt 2.
import os
import ssl

import paho.mqtt.client as mqtt

CA_PEM = """@ca@"""

context = ssl.create_default_context(cadata=CA_PEM)
context.set_alpn_protocols([@"alpn"@])
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=@"client_id"@)
client.tls_set_context(context)
client.username_pw_set(@"user_name"@, @password@)
client.connect(@"host"@, @port@, keepalive=@keep_alive@)
client.loop_start()
# QoS 0 or 1. Subscribe to @"subscribe"@.
client.publish(@"publish"@, "hello", qos=1).wait_for_publish(20)
client.disconnect()
